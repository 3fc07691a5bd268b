# SPDX-License-Identifier: GPL-2.0-only
"""tools/mutate: a proof that tests notice faults is worth something only if a fault that none notices is told."""
import importlib.machinery
import importlib.util
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "tools/mutate")

loader = importlib.machinery.SourceFileLoader("mutate", PROGRAM)
mutate = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutate", loader))
loader.exec_module(mutate)

LIST = """\
# a comment
@ mm/x.c
? test_a test_b
= first
- one
- 	two
+ three
= second
- four

@ mm/y.c
? test_c
= third
- five
+ six
+ seven
"""


def test_the_list_is_read():
    first, second, third = mutate.read_list(LIST)
    assert (first.file, first.title, first.old, first.new, first.tests) == (
        "mm/x.c", "first", "one\n\ttwo", "three", ["test_a", "test_b"])
    assert (second.file, second.old, second.new) == ("mm/x.c", "four", "")
    assert (third.file, third.new, third.tests) == ("mm/y.c", "six\nseven", ["test_c"])


@pytest.mark.parametrize("text", ["= no file\n- a\n", "@ f\n= no test\n- a\n", "@ f\n? t\n= no text\n", "what\n"])
def test_bad_lists_are_refused(text):
    with pytest.raises(mutate.BadList):
        mutate.read_list(text)


def fault(old, new):
    return mutate.Fault(1, "f", "title", old, new, ["t"])


def test_a_fault_needs_its_text_exactly_once():
    assert mutate.plant("a b c", fault("b", "x")) == "a x c"
    for source, old, new in (("a c", "b", "x"), ("b b", "b", "x"), ("b", "b", "b")):
        with pytest.raises(mutate.BadList):
            mutate.plant(source, fault(old, new))


def test_every_fault_of_the_list_can_be_planted():
    done = subprocess.run([PROGRAM, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_survivors_are_told(tmp_path):
    faults = tmp_path / "list"
    faults.write_text("@ mm/spte.h\n? test_mm_spte\n= noticed\n- return SPTE_FRAME_MASK;\n+ return 0;\n"
                      "= not a fault\n- #define SPTE_OPENED (1ull << 9)\n+ #define SPTE_OPENED (1ull << 9 | 0)\n")
    done = subprocess.run([PROGRAM, "-j", "1", str(faults)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "survived: mm/spte.h: not a fault" in done.stdout
    assert done.stdout.endswith("2 mutants, 1 killed\n")
