# SPDX-License-Identifier: GPL-2.0-only
"""What docs/ say of the tests must be true: which of them stand for which kind of failure, both ways, and that the
example of a tracker is one of them."""
import glob
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LESSONS = 36


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def in_code():
    """(test, file) of every test that is named after a lesson."""
    return {(name, os.path.basename(path)) for path in glob.glob(os.path.join(ROOT, "tests/host/test_*.c"))
            for name in re.findall(r"static void (lesson_\d\d_\w+)\(void", read(path))}


def in_table():
    rows = re.findall(r"^\|[^|]*\|[^|]*\|([^|]*)\| (\w+\.c) \|$", read("docs", "testing.md"), re.MULTILINE)
    return {(name, file) for tests, file in rows for name in re.findall(r"lesson_\d\d_[\w*]+", tests)}


def test_every_named_test_is_there():
    missing = {(name, file) for name, file in in_table() if not name.endswith("*")} - in_code()
    assert not missing


def test_every_lesson_test_is_in_the_table():
    table = in_table()
    families = {(name[:-1], file) for name, file in table if name.endswith("*")}
    missing = {(name, file) for name, file in in_code() - table if (name[:10], file) not in families}
    assert not missing


def test_every_lesson_has_a_test():
    assert {int(name[7:9]) for name, _ in in_code()} == set(range(1, LESSONS + 1))


def test_the_example_of_a_tracker_is_the_one_that_is_tested():
    file = read("tests", "host", "example_tracker.h").split("\n", 2)[2]
    blocks = re.findall(r"^```c\n(.*?)^```$", read("docs", "page-tracking.md"), re.MULTILINE | re.DOTALL)
    assert [block for block in blocks if block.startswith("#include")] == [file]
    assert len(file.splitlines()) < 40
