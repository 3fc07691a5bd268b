# SPDX-License-Identifier: GPL-2.0-only
"""Unmodified Debian kernels: boot to a shell, a scripted session over the serial line, power-off."""
import re

import pytest

import said
import session
from machine import assert_clean_end, linux


def run(boot, flavour, model):
    m = boot(linux("debian", flavour), model=model)
    session.run(m)
    m.expect(said.stopped("debian", "power off"), 60)
    text = m.finish(60)
    assert_clean_end(text, "debian")
    assert re.search(said.POWER_OFF, text)


@pytest.mark.parametrize("model", ["corei7_haswell_4770", "corei7_skylake_x"])
def test_cloud_kernel(boot, model):
    run(boot, "cloud", model)


def test_full_kernel(boot):
    run(boot, "full", "corei7_haswell_4770")


@pytest.mark.long
def test_cloud_kernel_on_the_floor(boot):
    """A processor with VMX and nothing optional: the purest shadow paging."""
    run(boot, "cloud", "core2_penryn_t9600")
