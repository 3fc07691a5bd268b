# SPDX-License-Identifier: GPL-2.0-only
"""Memory that is frozen from outside: a kernel that patches its own code there is met, one that does not is not."""
import re
import subprocess

import pytest

import said
from machine import Module, own

MODELS = ["core2_penryn_t9600", "corei7_haswell_4770", "corei7_skylake_x"]


def frozen(response, arguments):
    """The guest with the page of its function patched() frozen."""
    guest = own("own", "patch64")[0]
    symbols = subprocess.run(["nm", guest.content], capture_output=True, text=True, check=True).stdout
    base = int(re.search(r"^([0-9a-f]+) t patched$", symbols, re.M).group(1), 16)
    return [Module(guest.content, f"{guest.string} freeze=0x{base:x}+64:{response} -- {arguments}")]


@pytest.mark.parametrize("model", MODELS)
def test_a_kernel_that_patches_itself_is_stopped(boot, model):
    text = boot(frozen("stop", "patch"), "debug", model=model).finish(120)
    assert re.search(r'vm "own": frozen memory: the guest writes 1 bytes at 0x\w+, rip 0x\w+, cr3 0x\w+: refused', text)
    assert re.search(r'vm "own" stopped: stopped by a tracker \(0\): freeze=', text)
    assert re.search(r'vm "own": frozen memory: 1 attempts to write to 1 ranges', text)
    assert "patched" not in text and re.search(said.ALL_STOPPED, text)


@pytest.mark.parametrize("model", MODELS)
def test_one_that_does_not_is_left_alone(boot, model):
    text = boot(frozen("stop", "peaceful"), "debug", model=model).finish(120)
    assert re.search(said.exit_code("own", 16), text)
    assert re.search(r'vm "own": frozen memory: 0 attempts to write to 1 ranges', text)


def test_a_report_lets_it_happen(boot):
    text = boot(frozen("report", "patch"), "debug").finish(120)
    assert re.search(said.exit_code("own", 16), text) and "  patched" in text
    assert len(re.findall(r"frozen memory: the guest writes 1 bytes at 0x\w+.*: done", text)) == 6
    assert re.search(r'vm "own": frozen memory: 6 attempts to write to 1 ranges', text)


def test_a_refusal_leaves_the_code_as_it_was(boot):
    """The guest goes on in the belief that it has written."""
    text = boot(frozen("skip", "patch"), "debug").finish(120)
    assert "got 0x1, want 0x2" in text
    assert re.search(r'vm "own": frozen memory: 6 attempts to write to 1 ranges', text)


def test_what_is_no_memory_cannot_be_frozen(boot):
    guest = own("own", "patch64")[0]
    text = boot([Module(guest.content, guest.string + " freeze=0xF0000000+1M:stop")]).finish(60)
    assert 'vm "own" is not started: what freeze= names is not all memory' in text


def test_later_is_when_the_person_at_the_console_says_so(boot):
    """The guest draws a random number in each round, and is let be until then."""
    guest = own("own", "snapshot64")[0]
    symbols = subprocess.run(["nm", guest.content], capture_output=True, text=True, check=True).stdout
    base = int(re.search(r"^([0-9a-f]+) d random_state$", symbols, re.M).group(1), 16)
    m = boot([Module(guest.content, f"{guest.string} freeze-later=0x{base:x}+8:report")], "debug")
    m.expect("round 3 sum", 30)
    assert "frozen memory" not in m.text
    m.send("\x01f")
    m.expect(said.vm_line("own", "1 ranges are frozen now, 1 in all\r?\n"), 20)
    m.expect(said.vm_line("own", "frozen memory: the guest writes 8 bytes at 0x%x, .*: done" % base), 20)
    m.expect("all rounds are over", 60)
    m.send("q")
    text = m.finish(60)
    assert re.search(r"3 passed, 0 failed", text) and re.search(said.exit_code("own", 16), text)
    attempts = re.search(said.vm_line("own", r"frozen memory: (\d+) attempts to write to 1 ranges"), text)
    assert 0 < int(attempts.group(1)) <= 13  # one a round
    assert len(re.findall(r"frozen memory: the guest writes", text)) == int(attempts.group(1))
