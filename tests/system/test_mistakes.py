# SPDX-License-Identifier: GPL-2.0-only
"""What goes wrong: each mistake has its message, none resets, hangs or harms the VM beside it."""
import os
import re

import pytest

import said
from machine import BUILD, Module, broken, linux, own

GUEST_RESULT = r"[1-9]\d* passed, 0 failed"


def read(*path):
    with open(os.path.join(BUILD, *path), "rb") as f:
        return f.read()


def assert_neighbour_lives(text):
    assert re.search(GUEST_RESULT, text) and re.search(said.exit_code("good", 16), text)
    assert re.search(said.ALL_STOPPED, text) and re.search(said.POWER_OFF, text)


@pytest.mark.parametrize("uefi", [False, True], ids=["bios", "uefi"])
def test_no_vmx(boot, uefi):
    m = boot([], emulator="qemu", uefi=uefi)
    m.expect(said.BANNER, 60)
    m.expect(said.NO_VMX, 20)
    m.finish(20)


def test_small_machine(boot):
    """32 MiB: too little for the guest, told by its name; no reset."""
    m = boot(own("small", "hello64", memory="256M"), memory=32)
    m.expect(said.BANNER, 20)
    m.expect(said.error(".*" + said.NO_MEMORY), 20)
    m.finish(30)


def test_no_modules(boot):
    m = boot([])
    m.expect(said.NONE_STARTED, 20)
    m.finish(20)


def test_bad_descriptions(boot):
    """Every mistake in grub.cfg in one boot, beside a good VM."""
    good = own("good", "hello64")
    kernel = good[0].content
    text = boot([
        Module(b"\x90" * 5000, "name=garbage kind=multiboot"),
        Module(b"\x90" * 5000, "name=garbage-linux kind=linux"),
        Module(read("guests", "cloud", "vmlinuz")[:300000], "name=short kind=linux mem=128M"),
        Module(read("guest", "hello64.elf")[:2000], "name=cut kind=multiboot"),
        Module(kernel, "name=twice kind=multiboot"),
        Module(kernel, "name=twice kind=multiboot"),
        Module(b"initrd", "name=orphan kind=initrd"),
        Module(b"\0" * 100, "kind=multiboot"),
        Module(kernel, "name=what kind=windows"),
        Module(kernel, "name=odd kind=multiboot mem=12345"),
        Module(kernel, "name=key kind=multiboot colour=red"),
        Module(kernel, "name=huge kind=multiboot mem=64G"),
        Module(kernel, "name=thin kind=multiboot mem=2M"),
    ] + good, "nonsense shadow=many debug=1").finish(90)

    for mistake in (
            said.error('unknown option "nonsense"'), said.error('bad option "shadow=many"'),
            said.error('option "debug" takes no value'),
            said.vm_error("garbage", "kernel has no Multiboot header"),
            said.vm_error("garbage-linux", "kernel is not a Linux bzImage"),
            said.vm_error("short", "kernel is truncated"),
            said.vm_error("cut", "kernel"),
            said.vm_error("twice", "two kernels"), said.not_started("twice"),
            said.vm_error("orphan", "has an initrd but no kernel"),
            said.error("boot module 7 has no name="),
            said.vm_error("what", '"kind=windows": unknown kind'),
            said.vm_error("odd", '"mem=12345"'),
            said.vm_error("key", '"colour=red": unknown key'),
            said.error('vm "huge" is not started: not enough memory')):
        assert re.search(mistake, text), mistake
    assert_neighbour_lives(text)


@pytest.mark.parametrize("modules, why", [
    (own("bad", "triple32"), "triple fault"),
    (own("bad", "wild32"), "(triple fault|unsupported|invalid state)"),
    (broken("bad", "zeros"), "(triple fault|unsupported|invalid state)"),
    (broken("bad", "forever"), "halted for ever"),
], ids=["triple-fault", "jump-into-nowhere", "run-over-the-end", "halt-for-ever"])
def test_broken_guest(boot, modules, why):
    """It alone is stopped, with the reason and its registers; the VM beside it runs on."""
    text = boot(modules + own("good", "hello64")).finish(60)
    end = re.search(said.stopped("bad", why), text)
    assert end, "the broken guest is not stopped for its reason"
    assert re.search(r"rip [0-9a-f]{16}", text[end.end():]), "no registers are shown"
    assert_neighbour_lives(text)


def test_unknown_exit(boot):
    """An exit that nobody handles stops that VM. There is none that a guest could make, so one is refused: VMCALL."""
    text = boot(broken("bad", "vmcall") + own("good", "hello64"), "refuse-exit=18").finish(60)
    assert re.search(said.error(r"bad: no handler for VM exit 18 \(VMCALL\)"), text)
    end = re.search(said.stopped("bad", "unhandled exit"), text)
    assert end and re.search(r"rip [0-9a-f]{16}", text[end.end():])
    assert_neighbour_lives(text)


def test_exit_code(boot):
    text = boot(broken("seven", "exit7")).finish(30)
    assert re.search(said.exit_code("seven", 7), text)


def test_linux_without_initrd(boot):
    """A guest that panics and asks for a reset is not a reset of the machine."""
    modules = linux("bare", arguments="console=ttyS0 panic=-1 quiet")[:1]
    m = boot(modules + own("good", "hello64"))
    m.expect(said.stopped("bare", "(reset|triple fault)"), 120)
    assert_neighbour_lives(m.finish(30))


def test_noreboot(boot):
    """With noreboot the machine stays until a key is pressed."""
    m = boot(broken("seven", "exit7"), "noreboot")
    m.expect("noreboot: waiting", 30)
    m.send("x")
    m.expect(said.POWER_OFF, 20)
    m.finish(20)
