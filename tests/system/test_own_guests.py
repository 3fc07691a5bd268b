# SPDX-License-Identifier: GPL-2.0-only
"""Our own guest kernels (tests/guest): each runs its tests inside a VM and says how many passed."""
import glob
import os
import re

import pytest

import said
from machine import ROOT, alone, assert_clean_end, own

# These end badly on purpose: test_mistakes.py.
BAD = {"triple32", "wild32"}
# It waits for a key: test_snapshot.py.
WAITING = {"snapshot64"}
GUESTS = sorted({os.path.basename(path)[:-2] for path in glob.glob(os.path.join(ROOT, "tests", "guest", "*.c"))} -
                BAD - WAITING)
RESULT = r"(\d+) passed, (\d+) failed"


def check(text, name):
    result = re.search(RESULT, text)
    assert result, "the guest does not say how it went"
    assert int(result.group(1)) > 0 and result.group(2) == "0", text[text.find("FAIL"):][:2000]
    assert re.search(said.exit_code(name, 16), text)
    assert re.search(said.ALL_STOPPED, text)


@pytest.mark.parametrize("guest", GUESTS)
def test_guest(boot, guest):
    m = boot(own("own", guest), "debug")
    m.expect(said.BANNER, 20)
    text = m.finish(120)
    check(text, "own")
    if not guest.endswith("32"):
        assert_clean_end(text, "own")  # with paging off there is no guest table to track


@pytest.mark.long
@pytest.mark.parametrize("guest", GUESTS)
def test_guest_on_the_bare_machine(boot, guest):
    """What a guest is held to must be true of a machine without us."""
    text = boot([], bare=alone(guest)).finish(120)
    result = re.search(RESULT, text)
    assert result and int(result.group(1)) > 0 and result.group(2) == "0", text[text.find("FAIL"):][:2000]


@pytest.mark.parametrize("model", ["core2_penryn_t9600", "corei5_arrandale_m520", "corei7_skylake_x"])
def test_guest_on_other_processors(boot, model):
    """The floor (no EPT, VPID, preemption timer), the middle, and a newer one."""
    m = boot(own("own", "memory64"), model=model)
    check(m.finish(120), "own")


@pytest.mark.parametrize("guest", ["debug64", "memory64"])
def test_guest_on_the_oldest_processor(boot, guest):
    """What the first CPUs with VMX had and no more: no MSR bitmaps, virtual NMIs or VPIDs; steps by the trap flag."""
    m = boot(own("own", guest), "old-cpu debug")
    text = m.finish(120)
    assert re.search(r"VMX revision \d+:\s*\n", text), "the processor still has something"
    check(text, "own")


@pytest.mark.parametrize("model, keys", [
    ("core2_penryn_t9600", "calls=track,freeze,thaw,who watches=8"),
    ("corei7_haswell_4770", "calls=track,freeze,thaw,who watches=8"),
    ("corei7_skylake_x", "calls=track,freeze,thaw,who watches=8"),
    ("corei7_haswell_4770", "calls=track,freeze watches=12"),
    ("corei7_haswell_4770", ""),
])
def test_a_guest_tracks_itself(boot, model, keys):
    """By hypercalls, as far as its VM may make them. All that it has tracked and frozen goes with it."""
    text = boot(own("own", "track64", keys=keys), "debug", model=model).finish(120)
    check(text, "own")
    assert re.search(r"ok nothing_is_allowed" if not keys else r"ok frozen_memory_faults", text)
    assert re.search(r" 0 failed, 0 skipped", text)
    assert re.search(r"audit of the shadow tables: 0 violations", text)
    assert_clean_end(text, "own")


def test_events_meet_tracked_pages(boot):
    """Else the guest proves nothing: its stacks and tables must be pages that we watch."""
    m = boot(own("own", "events64"))
    text = m.finish(120)
    check(text, "own")
    counts = re.search(r"(\d+) instructions emulated, .* (\d+) stepped, (\d+) events delivered", text)
    assert counts and int(counts.group(1)) > 50 and int(counts.group(2)) > 0 and int(counts.group(3)) > 50


def test_multiboot1_start(boot):
    """GRUB's older protocol, the one `qemu -kernel` speaks, finds the same modules."""
    m = boot(own("own", "hello64"), load="multiboot")
    check(m.finish(60), "own")


def test_two_guests_at_once(boot):
    m = boot(own("one", "hello64") + own("two", "hello32"))
    text = m.finish(90)
    assert len(re.findall(RESULT, text)) == 2
    assert re.search(said.exit_code("one", 16), text) and re.search(said.exit_code("two", 16), text)
