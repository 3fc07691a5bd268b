# SPDX-License-Identifier: GPL-2.0-only
"""Unmodified Debian kernels: boot to a shell, a scripted session over the serial line, power-off."""
import re

import pytest

import said
import session
from machine import assert_clean_end, linux


# The 32-bit kernels spend 3.2 G instructions, half of their start, on testing their own cryptography.
NO_SELF_TESTS = "console=ttyS0 cryptomgr.notests"


def run(boot, flavour, model, **how):
    m = boot(linux("debian", flavour, **how), model=model)
    session.run(m)
    m.expect(said.stopped("debian", "power off"), 60)
    text = m.finish(60)
    assert_clean_end(text, "debian")
    assert re.search(said.POWER_OFF, text)


def test_cloud_kernel(boot):
    run(boot, "cloud", "corei7_haswell_4770")


@pytest.mark.long
def test_cloud_kernel_with_avx512(boot):
    """The widest vectors, and an XSAVE that contradicts itself in this emulator (vcpu/cpuid.c)."""
    run(boot, "cloud", "corei7_skylake_x")


def test_full_kernel(boot):
    run(boot, "full", "corei7_haswell_4770")


@pytest.mark.long
def test_cloud_kernel_on_the_floor(boot):
    """A processor with VMX and nothing optional: the purest shadow paging."""
    run(boot, "cloud", "core2_penryn_t9600")


@pytest.mark.long
def test_cloud_kernel_by_its_32_bit_entry(boot):
    """Paging off at first: the kernel makes the tables and the switch to long mode itself."""
    run(boot, "cloud", "corei7_haswell_4770", keys="entry=32")


def test_two_level_kernel(boot):
    run(boot, "686", "corei7_haswell_4770", arguments=NO_SELF_TESTS)


@pytest.mark.long
def test_pae_kernel(boot):
    run(boot, "686-pae", "corei7_haswell_4770", arguments=NO_SELF_TESTS)


@pytest.mark.long
@pytest.mark.parametrize("model", ["core2_penryn_t9600", "corei7_skylake_x"])
@pytest.mark.parametrize("flavour", ["686", "686-pae"])
def test_32_bit_kernels_elsewhere(boot, flavour, model):
    run(boot, flavour, model, arguments=NO_SELF_TESTS)
