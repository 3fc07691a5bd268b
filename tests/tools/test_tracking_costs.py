# SPDX-License-Identifier: GPL-2.0-only
"""What page tracking costs stays flat, at sizes that take a few seconds; and the measure notices when it does not."""
import importlib.machinery
import importlib.util
import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load(path):
    """A program without .py as a module."""
    loader = importlib.machinery.SourceFileLoader(os.path.basename(path).replace("-", "_"), os.path.join(ROOT, path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


costs = load("tools/tracking-costs")

# What the counters must not depend on: these are flat without any reservation.
KEY_CURVES = ["pages:add", "pages:remove", "pages:event", "pages:count", "pages:write-untracked", "pages:add-refused",
              "holders:event,-per-holder", "others:event",
              "others:add", "others:add-first-of-2M", "dirty:harvest,-per-page-dirty"]


@pytest.fixture(scope="module", name="points")
def measured():
    return costs.measure("small")


def test_the_curves_are_as_flat_as_they_must_be(points):
    assert not list(costs.complaints(points))
    curves = costs.curves(points)
    for name in KEY_CURVES:
        assert len(curves[name]) >= 3, name
        assert name not in costs.NOT_FLAT and costs.is_flat(curves[name]), (name, curves[name])


def test_every_explanation_is_of_a_curve(points):
    assert set(costs.NOT_FLAT) <= set(costs.curves(points))


def test_costs_have_the_size_they_had(points):
    """A section that measures nothing would be flat, too."""
    cost = {what: value for what, _, value in points}
    assert 15 < cost["count:of-a-tracked-page"] < 60
    assert 300 < cost["event:after-only"] < 1200
    assert 350 < cost["add:further-page"] < 1500
    assert cost["event:after-only"] < cost["event:before-and-after"] < cost["write:tracked-page,-before-and-after"]
    assert cost["add:further-page"] < cost["add:further-page-mapped-4K"]


def callgrind(*sections):
    return "\n".join(f"part: 1\ndesc: Trigger: Client Request: {name}\n\nsummary: 0\nfn=(1) f\n0 1\ntotals: {total}\n"
                     for name, total in sections)


KNOWN = (("nothing 0 1", 10), ("known:loop 1000 1", 2012), ("known:loop 2000 1", 4012),
         ("known:linear-search 1 1", 20), ("known:linear-search 1000 1", 5020))


def test_what_callgrind_wrote_is_read():
    points = costs.parse(callgrind(*KNOWN, ("pages:add 10 4", 410)))
    assert points[-1] == ("pages:add", 10, 100)
    costs.check_measure(points)


@pytest.mark.parametrize("wrong", [
    (("known:loop 1000 1", 2012), ("known:loop 2000 1", 2012)),
    (("known:linear-search 1 1", 20), ("known:linear-search 1000 1", 21)),
    (("pages:add 1 1", 10), ("pages:add 10 1", 10)),
    (("nothing 0 1", 10), ("nothing 0 1", 10)),
], ids=["loop", "control", "no cost", "nothing twice"])
def test_a_broken_measure_is_noticed(wrong):
    names = {name for name, _ in wrong}
    with pytest.raises(costs.BadMeasure):
        costs.check_measure(costs.parse(callgrind(*[s for s in KNOWN if s[0] not in names], *wrong)))


def test_nothing_measured_is_noticed():
    with pytest.raises(costs.BadMeasure):
        costs.parse("")


def test_a_curve_that_rises_is_a_complaint():
    rising = [("pages:add", 1, 100.0), ("pages:add", 10, 90.0), ("pages:add", 100, 114.0)]
    assert len(list(costs.complaints(rising))) == 1
    assert not list(costs.complaints(rising[:2]))
