# SPDX-License-Identifier: GPL-2.0-only
"""The host tools themselves: what the other checks rest on must fail when it should."""
import importlib.machinery
import importlib.util
import os
import pty
import stat
import subprocess
import sys
import termios

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from emu import console, process  # noqa: E402


def load(path):
    """A program without .py as a module."""
    loader = importlib.machinery.SourceFileLoader(os.path.basename(path).replace("-", "_"), os.path.join(ROOT, path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


layers = load("tools/check-layers")
runner = load("tests/run.py")


@pytest.mark.parametrize("folder, target, good", [
    ("mm", "lib/types.h", True), ("mm", "mm/spte.h", True), ("vcpu", "lib/types.h", True),
    ("kernel", "boot/boot_info.h", True), ("boot", "kernel/main.h", True), ("debug", "vcpu/vcpu.h", True),
    ("lib", "mm/mmu.h", False), ("mm", "vcpu/vcpu.h", False), ("devices", "emulate/emulate.h", False),
    ("emulate", "devices/uart16550.h", False), ("vcpu", "vmx/vmx.h", False), ("kernel", "boot/entry.h", False),
    ("debug", "vmx/vmcs.h", False), ("vmx", "debug/gdb.h", False), ("mm", "spte.h", False), ("mm", "../lib/types.h", False),
    ("mm", "tests/host/port_host.h", False), ("vcpu", "guests/spoor_hypercall.h", True),
    ("kernel", "guests/spoor_hypercall.h", True), ("mm", "guests/spoor_hypercall.h", False),
    ("vcpu", "guests/other.h", False),
])
def test_layers(folder, target, good):
    assert (layers.wrong_include(folder, target) is None) == good


def test_layers_names_file_and_line(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "bad.c").write_text('#include "lib/types.h"\n\n#  include "mm/mmu.h"\n')
    complaints, files = layers.check(str(tmp_path))
    assert files == 1 and len(complaints) == 1 and complaints[0].startswith("lib/bad.c:3:")


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("text, passed, failed", [
    ("echo 1..2; echo ok 1 - a; echo ok 2 - b", 2, 0),
    ("echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1", 1, 1),
    ("echo 1..3; echo ok 1 - a; kill -SEGV $$", 1, 2),
    ("echo 1..1; echo ok 1 - a; exit 3", 1, 1),
    ("echo nothing", 0, 1),
])
def test_a_crash_is_a_failure(tmp_path, text, passed, failed):
    result = runner.host_program(program(tmp_path / "host-gcc" / "test_x", text))
    assert (result.passed, result.failed) == (passed, failed)


def test_junit_counts(tmp_path):
    report = tmp_path / "r.xml"
    report.write_text('<testsuites><testsuite><testcase/><testcase><failure/></testcase><testcase><error/></testcase>'
                      '<testcase><skipped/></testcase></testsuite></testsuites>')
    assert runner.count_junit(str(report)) == (1, 2, 1)


def test_initramfs_is_the_same_every_time(tmp_path):
    outputs = []
    for name in ("a", "b"):
        out = tmp_path / name
        subprocess.run([os.path.join(ROOT, "guests/mkinitramfs"), "--init", os.path.join(ROOT, "guests/init"), "--gzip",
                        "-o", str(out)], check=True)
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1] and len(outputs[0]) > 100000


@pytest.mark.parametrize("typed, ends", [(b"abc", False), (b"\x01x", True), (b"\x01\x01x", False), (b"x\x01n", False),
                                         (b"\x01\x01\x01X", True)])
def test_the_key_that_ends(typed, ends):
    assert console.Keys().feed(typed) == ends


def test_the_key_may_arrive_in_two_reads():
    keys = console.Keys()
    assert not keys.feed(b"ls\x01") and keys.feed(b"x")


def test_the_terminal_is_as_before_after_an_exception(monkeypatch):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with os.fdopen(slave, "r", closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(KeyError):
            with console.Terminal():
                assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO)
                raise KeyError
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)


def test_one_emulator_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("SPOOR_EMULATOR_LOCK", str(tmp_path / "lock"))
    first = process.EmulatorLock()
    with pytest.raises(process.EmulatorError, match=str(os.getpid())):
        process.EmulatorLock(wait=False)
    first.release()
    process.EmulatorLock(wait=False).release()


def test_an_emulator_is_ended_even_if_it_will_not(tmp_path):
    child = process.start(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], str(tmp_path / "out"))
    process.stop(child)
    assert child.poll() is not None
