# SPDX-License-Identifier: GPL-2.0-only
"""Every CPU model of the test bed with every one of our own guests: one list, and the same results on all of them.

The list is printed at the end and kept in build/models.txt: tests passed, VM exits, and instructions of the whole run
(firmware, boot loader, hypervisor and guest) for each pair.
"""
import os
import re

import pytest

import said
import disk
from machine import BUILD, bochs, own
from test_own_guests import GUESTS, RESULT

pytestmark = pytest.mark.long
MODELS = [model for model in bochs.MODELS if model != "corei5_arrandale_m520"]
TABLE = os.path.join(BUILD, "models.txt")

# What a guest found on the first model that ran it: the names of its tests, and which it could not make there.
first_results = {}


def results(text):
    """{test name: "ok", "skipped" or "FAIL"} of one guest."""
    found = {}
    for verdict, name, skipped in re.findall(r"^(ok|FAIL) (\w+)( \(skipped\))?\r?$", text, re.MULTILINE):
        found[name] = "skipped" if skipped else verdict
    return found


def instructions(m):
    """Bochs numbers the lines of its log by ticks; the last one is the power-off."""
    with open(m.emulator.log, encoding="utf-8", errors="replace") as f:
        ticks = re.findall(r"^(\d+)p\[", f.read(), re.MULTILINE)
    return int(ticks[-1]) if ticks else 0


def note(model, guest, text, m):
    passed = re.search(RESULT, text)
    exits = re.search(r"(\d+) VM exits", text)
    with open(TABLE, "a", encoding="utf-8") as f:
        f.write(f"{model:<28} {guest:<16} {passed.group(0):<24} {exits.group(1) if exits else '-':>10} exits "
                f"{instructions(m):>15,} instructions\n")


@pytest.fixture(scope="module", autouse=True)
def fresh_table():
    if os.path.exists(TABLE):
        os.unlink(TABLE)


@pytest.mark.parametrize("guest", GUESTS + ["boot16"])
@pytest.mark.parametrize("model", MODELS)
def test_guest_on_model(boot, model, guest):
    m = boot(disk.module("own", disk.BOOT16) if guest == "boot16" else own("own", guest), model=model)
    text = m.finish(150)
    result = re.search(RESULT, text)
    assert result and int(result.group(1)) > 0 and result.group(2) == "0", text[text.find("FAIL"):][:2000]
    assert re.search(said.exit_code("own", 16), text)
    found = results(text)
    assert found.keys() == first_results.setdefault(guest, found).keys(), "other tests than on the first model"
    note(model, guest, text, m)
