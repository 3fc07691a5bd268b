# SPDX-License-Identifier: GPL-2.0-only
"""A test machine: an ISO from a description, booted in Bochs or QEMU, its serial line to expect from."""
import os
import re
import subprocess
import sys
import time

import pexpect
import pexpect.fdpexpect

import said

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")
sys.path.insert(0, os.path.join(ROOT, "tools"))

from emu import bochs, process, qemu  # noqa: E402  (after the path is set)

# A slow or busy host stretches every time limit.
PATIENCE = float(os.environ.get("SPOOR_PATIENCE", "3"))
IPS = 100000000

GRUB_CFG = """\
serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
{load} /boot/spoor.elf {options}
{modules}
boot
"""


class Module:
    """One boot module: a file or bytes, and the string behind it in grub.cfg."""

    def __init__(self, content, string):
        self.content, self.string = content, string


def linux(name, flavour="cloud", memory="512M", arguments="console=ttyS0", keys=""):
    """The modules of a Debian guest. @keys: more of them for the kernel's line."""
    guests = os.path.join(BUILD, "guests")
    initrd = "initrd-i386" if flavour.startswith("686") else "initrd"
    kernel = f"name={name} kind=linux mem={memory} {keys} -- {arguments}"
    return [Module(os.path.join(guests, flavour, "vmlinuz"), kernel),
            Module(os.path.join(guests, initrd), f"name={name} kind=initrd")]


def own(name, guest, memory="64M", keys=""):
    """The module of one of our own guests, tests/guest/GUEST.c. @keys: more of them."""
    return [Module(os.path.join(BUILD, "guest", guest + ".elf"), f"name={name} kind=multiboot mem={memory} {keys}")]


def broken(name, source, memory="32M"):
    """The module of a guest that does one bad thing, tests/system/broken/SOURCE.asm."""
    here = os.path.join(ROOT, "tests", "system", "broken") + "/"
    binary = os.path.join(BUILD, "system", "broken", source + ".bin")
    os.makedirs(os.path.dirname(binary), exist_ok=True)
    subprocess.run(["nasm", "-f", "bin", "-I", here, "-o", binary, here + source + ".asm"], check=True)
    return [Module(binary, f"name={name} kind=multiboot mem={memory}")]


def make_iso(directory, modules, options="", load="multiboot2"):
    """Writes grub.cfg and the ISO; returns its path."""
    os.makedirs(directory, exist_ok=True)
    module = "module2 --nounzip" if load == "multiboot2" else "module --nounzip"
    lines, files = [], ["spoor.elf=" + os.path.join(BUILD, "spoor.elf")]
    for number, m in enumerate(modules):
        path = m.content
        if isinstance(path, bytes):
            path = os.path.join(directory, f"module{number}")
            with open(path, "wb") as f:
                f.write(m.content)
        files.append(f"module{number}={path}")
        lines.append(f"{module} /boot/module{number} {m.string}")
    cfg, iso = os.path.join(directory, "grub.cfg"), os.path.join(directory, "test.iso")
    with open(cfg, "w", encoding="utf-8") as f:
        f.write(GRUB_CFG.format(load=load, options=options, modules="\n".join(lines)))
    subprocess.run([os.path.join(ROOT, "tools", "mkiso"), "-o", iso, "-c", cfg, *files], check=True)
    return iso


def make_disk(directory, script, files):
    """An image, ISO and hard disk at once, whose GRUB runs @script and finds @files {name: path} in /boot; returns its
    path."""
    os.makedirs(directory, exist_ok=True)
    cfg, image = os.path.join(directory, "grub.cfg"), os.path.join(directory, "grub.img")
    with open(cfg, "w", encoding="utf-8") as f:
        f.write(script)
    subprocess.run([os.path.join(ROOT, "tools", "mkiso"), "-o", image, "-c", cfg,
                    *(f"{name}={path}" for name, path in files.items())], check=True)
    return image


def alone(guest):
    """For Machine: one of our own guests has the machine for itself."""
    script = "set timeout=0\nmultiboot /boot/guest.elf\nboot\n"
    files = {"guest.elf": os.path.join(BUILD, "guest", guest + ".elf")}
    return lambda directory: (make_disk(directory, script, files), bochs.CDROM)


class Machine:
    """A running machine. @text is all that its serial line has said. @bare: there is no hypervisor; a function that
    makes what the machine starts from in a directory, and returns that and how Bochs is told of it."""

    def __init__(self, directory, modules, options="", load="multiboot2", emulator="bochs", bare=None, **how):
        medium, start = bare(directory) if bare else (make_iso(directory, modules, options, load), bochs.CDROM)
        self.lock = process.EmulatorLock()
        try:
            if emulator == "bochs":
                self.emulator = bochs.Bochs(medium, directory, ips=IPS, start=start, **how)
            else:
                self.emulator = qemu.Qemu(medium, directory, **how)
        except Exception:
            self.lock.release()
            raise
        self.log_path = os.path.join(directory, "serial.log")
        self.log = open(self.log_path, "w", encoding="utf-8", errors="replace")
        self.console = pexpect.fdpexpect.fdspawn(self.emulator.serial, encoding="utf-8", codec_errors="replace",
                                                 searchwindowsize=4000, maxread=65536)
        self.console.logfile_read = self.log
        self.medium = medium
        self.running = True

    @property
    def text(self):
        self.log.flush()
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def expect(self, pattern, seconds):
        """Waits for @pattern on the serial line. @seconds are those of a quiet machine."""
        try:
            self.console.expect(pattern, timeout=seconds * PATIENCE)
        except (pexpect.TIMEOUT, pexpect.EOF, OSError) as problem:
            why = "the machine ended" if isinstance(problem, (pexpect.EOF, OSError)) else "no such line in time"
            raise AssertionError(f"{why}: expected {pattern!r}") from None
        return self.console.match

    def send(self, line):
        self.console.send(line)

    def finish(self, seconds):
        """Waits until the machine powers itself off; returns all text."""
        try:
            self.console.expect(pexpect.EOF, timeout=seconds * PATIENCE)
        except pexpect.TIMEOUT:
            raise AssertionError("the machine does not power off") from None
        except OSError:
            pass  # the emulator closed the line hard
        deadline = time.monotonic() + 5
        while self.emulator.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.emulator.process.poll() is not None, "the emulator did not end"
        assert not self.emulator.broke_down(), "the emulator broke down"
        return self.text

    def stop(self):
        if self.running:
            self.running = False
            self.emulator.stop()
            self.lock.release()
            self.log.close()
            os.unlink(self.medium)

    def diagnosis(self):
        return process.tail(self.log_path, 60), self.emulator.diagnosis()


def assert_clean_end(text, name):
    """The counters worked while the VM ran and are all given back; so is its memory, to the page."""
    running, after = re.search(said.counts_running(name), text), re.search(said.counts_after(name), text)
    back = re.search(said.pages_back(name), text)
    assert running and after and back, f'vm "{name}" has no complete account of its end'
    assert int(running.group(1)) > 0, "nothing was tracked while it ran"
    assert int(after.group(1)) == 0, "track counts are left over"
    assert back.group(1) == back.group(2), "memory is lost"
