# SPDX-License-Identifier: GPL-2.0-only
"""Does nested QEMU/KVM really give VMX here? Asked by running a boot sector that executes VMXON, never assumed."""
import os
import subprocess

from . import process

# isa-debug-exit ends QEMU with 2 v + 1; the boot sector writes 1 for yes.
EXIT_VMX = 3


def kvm_gives_vmx():
    """(True, "") or (False, why)."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False, "/dev/kvm is not there or not ours to use"
    sector = os.path.join(process.BUILD, "emu", "probe.bin")
    os.makedirs(os.path.dirname(sector), exist_ok=True)
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.asm")
    subprocess.run(["nasm", "-f", "bin", "-o", sector, source], check=True)
    command = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host,+vmx", "-m", "32", "-display", "none", "-net", "none",
               "-drive", f"format=raw,file={sector},readonly=on,if=ide", "-no-reboot",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return False, f"the probe did not end: {problem}"
    if done.returncode == EXIT_VMX:
        return True, ""
    said = done.stderr.strip().splitlines()
    return False, said[0] if said else "KVM runs, but without VMX for its guests"
