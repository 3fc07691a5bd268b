# SPDX-License-Identifier: GPL-2.0-only
"""QEMU: nested KVM where the host gives VMX, or its own emulation (TCG), which has no VMX and shows our message."""
import os
import shutil
import tempfile

from . import process

OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"


class Qemu:
    """One run of QEMU on @iso; the serial line is self.serial, a socket."""

    name = "QEMU"

    def __init__(self, iso, directory, kvm=False, uefi=False, memory=1024, model=None):
        os.makedirs(directory, exist_ok=True)
        self.output = os.path.join(directory, "qemu.out")
        # A socket path may have 107 characters at most, so it does not live in @directory.
        self.run_dir = tempfile.mkdtemp(prefix="spoor-")
        serial = os.path.join(self.run_dir, "serial")
        if kvm:
            command = ["-accel", "kvm", "-cpu", model or "host,+vmx"]
        else:
            command = ["-accel", "tcg", "-cpu", model or "max"]
        command = ["qemu-system-x86_64", "-M", "q35", "-m", str(memory), "-display", "none", "-no-reboot",
                   "-net", "none", "-cdrom", iso, "-boot", "d", *command,
                   "-chardev", f"socket,id=com1,path={serial},server=on,wait=on", "-serial", "chardev:com1"]
        if uefi:
            command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}",
                        "-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={OVMF_VARS}"]
        self.process = process.start(command, self.output)
        self.serial = process.connect(self.process, serial)
        if self.serial is None:
            process.stop(self.process)
            shutil.rmtree(self.run_dir, ignore_errors=True)
            raise process.EmulatorError("QEMU did not start:\n" + self.diagnosis())

    def stop(self):
        status = process.stop(self.process)
        self.serial.close()
        shutil.rmtree(self.run_dir, ignore_errors=True)
        return status

    def diagnosis(self):
        return process.tail(self.output)

    def broke_down(self):
        return self.process.returncode not in (0, None)
