# SPDX-License-Identifier: GPL-2.0-only
"""Guests that start from a disk image, in real mode: our own, which tests its machine, and GRUB from its MBR."""
import os
import re

import pytest

import disk
import said
from machine import BUILD, assert_clean_end, make_disk, own

RESULT = r"(\d+) passed, (\d+) failed, (\d+) skipped"
SKIPPED = r"ok (\w+) \(skipped"

LINUX = """\
set timeout=0
linux16 /boot/vmlinuz console=ttyS0
initrd16 /boot/initrd
boot
"""
MENU = """\
set timeout=-1
menuentry "start it" {
	multiboot /boot/guest.elf from the menu
}
"""


def assert_passed(text, skipped):
    """All of boot16's tests passed, but for those that this machine cannot make."""
    result = re.search(RESULT, text)
    assert result, "the guest does not say how it went"
    assert int(result.group(1)) > 80 and result.group(2) == "0", text[text.find("FAIL"):][:2000]
    assert set(re.findall(SKIPPED, text)) == skipped and int(result.group(3)) == len(skipped)


@pytest.mark.parametrize("model", ["corei7_haswell_4770", "core2_penryn_t9600"])
def test_boot16(boot, model):
    text = boot(disk.module("disk", disk.BOOT16), "debug", model=model).finish(120)
    assert_passed(text, set())
    assert re.search(said.exit_code("disk", 16), text)
    assert re.search(r"audit of the shadow tables: 0 violations", text)
    assert re.search(said.ALL_STOPPED, text)


@pytest.mark.long
@pytest.mark.parametrize("bare, skipped", [
    (disk.on_bios(disk.BOOT16), {"waiting"}),
    (disk.on_firmware(disk.BOOT16), {"screen_memory"}),
], ids=["bios", "firmware"])
def test_boot16_on_the_bare_machine(boot, bare, skipped):
    """What it is held to must be true of a machine without us; with our firmware in ROM, too."""
    assert_passed(boot([], bare=bare, memory=disk.MEMORY_MIB).finish(60), skipped)


def test_grub_from_its_mbr(boot):
    """An unmodified boot loader: sectors by INT 13h, menu and command line by INT 10h and 16h, then a kernel."""
    image = make_disk(os.path.join(BUILD, "system", "grub-disk"), MENU,
                      {"guest.elf": os.path.join(BUILD, "guest", "hello32.elf")})
    m = boot(disk.module("grub", image))
    m.expect("GRUB loading", 30)
    m.expect("Welcome to GRUB!", 60)
    m.expect("start it", 60)
    m.send("c")
    m.expect("grub>", 30)
    m.send("multiboot /boot/guest.elf typed at the prompt\r")
    m.expect("grub>", 60)
    m.send("boot\r")
    m.expect("hello from 32 bits", 60)
    text = m.finish(30)
    assert re.search("command line: typed at the prompt", text)
    assert re.search(r"3 passed, 0 failed", text)
    assert re.search(said.exit_code("grub", 16), text)


@pytest.mark.long
def test_linux_from_its_real_mode_entry(boot):
    """GRUB leaves Debian's kernel in real mode: it asks the firmware for memory, screen and disks by itself."""
    directory = os.path.join(BUILD, "system", "linux-disk")
    guests = os.path.join(BUILD, "guests")
    image = make_disk(directory, LINUX, {"vmlinuz": os.path.join(guests, "cloud", "vmlinuz"),
                                         "initrd": os.path.join(guests, "initrd")})
    m = boot(disk.module("debian", image, memory="512M"))
    m.expect("Probing EDD .*ok", 120)
    m.expect(r"BIOS-e820: \[mem 0x0000000000100000-0x000000001e[0-9a-f]{6}\] usable", 60)
    m.expect(r"Console: colour VGA\+ 80x25", 60)
    m.expect(said.SHELL, 120)
    m.send("exit\n")
    m.expect(said.stopped("debian", "power off"), 60)
    assert_clean_end(m.finish(30), "debian")


def sector(code=b"", signature=b"\x55\xaa"):
    return code.ljust(510, b"\0") + signature


def test_mistakes(boot):
    """Images that cannot be started are told; the VM beside them runs."""
    text = boot(disk.module("short", sector()[:511]) + disk.module("unsigned", sector(signature=b"\x55\xab")) +
                disk.module("big", sector() + bytes(2 << 20), memory="2M") + own("good", "hello32")).finish(60)
    for mistake in (
            said.vm_error("short", "disk image is too short"),
            said.vm_error("unsigned", "disk image has no boot sector"),
            said.vm_error("big", "disk image of 2048 KiB does not fit")):
        assert re.search(mistake, text), mistake
    assert re.search(r"3 passed, 0 failed", text) and re.search(said.exit_code("good", 16), text)
    assert re.search(said.ALL_STOPPED, text) and re.search(said.POWER_OFF, text)


@pytest.mark.parametrize("code, message", [
    (b"\x0f\x0b", r"exception that nobody handles at 0000:7C00\s"),  # ud2
    (b"\xcd\x18", r"no bootable disk"),                              # int 18h
    (b"\xfa\xf4", r""),                                              # cli; hlt
], ids=["exception", "int-18", "halt"])
def test_end_for_ever(boot, code, message):
    """The firmware says what it can, and the VM is stopped."""
    text = boot(disk.module("bad", sector(code))).finish(30)
    assert re.search(message + r"[^$]*" + said.stopped("bad", "halted for ever"), text)
