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


def test_cloud_kernel(boot):
    run(boot, "cloud", "corei7_haswell_4770")


@pytest.mark.long
def test_cloud_kernel_with_avx512(boot):
    """Not passing: a process of a pipeline gets a segmentation fault it does not get on haswell."""
    run(boot, "cloud", "corei7_skylake_x")


def test_full_kernel(boot):
    run(boot, "full", "corei7_haswell_4770")


@pytest.mark.long
def test_cloud_kernel_on_the_floor(boot):
    """A processor with VMX and nothing optional: the purest shadow paging."""
    run(boot, "cloud", "core2_penryn_t9600")
