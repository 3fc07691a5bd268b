# SPDX-License-Identifier: GPL-2.0-only
"""The machines Spoor is run on by its tools and tests: Bochs, QEMU, and the choice between them."""
