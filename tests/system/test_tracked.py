# SPDX-License-Identifier: GPL-2.0-only
"""Guests all of whose pages are tracked, for every kind of access: they must not notice."""
import re

import pytest

import said
import session
from machine import assert_clean_end, linux, own
from test_own_guests import GUESTS, check

MODELS = ["core2_penryn_t9600", "corei7_haswell_4770", "corei7_skylake_x"]
# Every instruction is an exit then, so these are the short ones.
SHORT = ["hello64", "hello32", "patch64"]
MODES = {"writes": "w", "reads": "r", "fetches": "x"}


def counted(text, name, what):
    """How many accesses of a kind were told: emulated, native, walks, deliveries, others."""
    found = re.search(rf'vm "{name}": tracked {what}: (\d+) emulated, (\d+) native, (\d+) walks, (\d+) deliveries', text)
    assert found, text[-3000:]
    return [int(n) for n in found.groups()]


def exits(text, name):
    """VM exits, and instructions emulated and stepped."""
    found = re.search(rf"{name}: (\d+) VM exits, (\d+) instructions emulated, .* (\d+) stepped", text)
    return [int(n) for n in found.groups()]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("guest", SHORT)
def test_every_access_of_a_guest(boot, guest, model):
    text = boot(own("own", guest, keys="track=rwx"), "debug", model=model).finish(200)
    check(text, "own")
    _, emulated, stepped = exits(text, "own")
    fetches = counted(text, "own", "fetches")
    # Each instruction was fetched once, and hardly any was not executed by us.
    assert sum(fetches) >= emulated + stepped > 1000
    assert sum(counted(text, "own", "writes")) > 100 and sum(counted(text, "own", "reads")) > 100
    assert re.search(r'vm "own": audit of the shadow tables: 0 violations', text)


@pytest.mark.parametrize("mode", MODES.values())
def test_modes_count_alike_alone_and_together(boot, mode):
    """What is told of one mode does not depend on the others."""
    what = next(w for w, m in MODES.items() if m == mode)
    counts = []
    for keys in f"track={mode}", "track=rwx":
        m = boot(own("own", "hello64", keys=keys), "debug")
        text = m.finish(200)
        m.stop()  # one emulator at a time
        check(text, "own")
        # Emulated or native does not matter: that depends on which page a fault was for.
        counts.append(sum(counted(text, "own", what)))
    assert counts[0] == counts[1]


# Of the others it is a long test.
SOME = ["events32", "events64", "memory64", "pae32", "traps64"]
FIRST = [pytest.param(g, marks=[] if g in SOME else [pytest.mark.long]) for g in GUESTS]


@pytest.mark.parametrize("guest", FIRST)
def test_first_accesses_of_a_guest(boot, guest):
    """Each page tells of its first access in each fiftieth of a second: at full speed in between."""
    text = boot(own("own", guest, keys="track=rwx:20"), "debug").finish(300)
    check(text, "own")
    for what in MODES:
        assert sum(counted(text, "own", what)) > 0
    assert re.search(r'vm "own": audit of the shadow tables: 0 violations', text)


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS)
def test_debian(boot, model):
    """The scripted session passes unchanged while every page is tracked in every mode."""
    m = boot(linux("debian", "cloud", keys="track=rwx:5000"), model=model)
    session.run(m)
    m.expect(said.stopped("debian", "power off"), 60)
    text = m.finish(60)
    assert_clean_end(text, "debian")
    for what in MODES:
        assert sum(counted(text, "debian", what)) > 1000
