# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-A s and Ctrl-A r: a VM goes back to where it was, as often as one likes, and does there what it did."""
import hashlib
import re

import pytest

import said
from machine import assert_clean_end, linux, own

TAKE, RESTORE, RESTORE_AND_LOOK = "\x01s", "\x01r", "\x01R"
GUEST_END = "all rounds are over\r?\n"


class Hashes:
    """What the hypervisor says of memory and registers, which must be the same each time."""

    def __init__(self, machine, name):
        self.machine, self.name, self.restored = machine, name, 0
        machine.send(TAKE)
        match = machine.expect(said.snapshot_taken(name), 60)
        self.pages, self.memory, self.registers = int(match.group(1)), match.group(2), match.group(3)

    def restore(self, look=False):
        """Returns the number of pages that were dirty."""
        self.machine.send(RESTORE_AND_LOOK if look else RESTORE)
        match = self.machine.expect(said.restored(self.name, look), 60)
        self.restored += 1
        assert match.group(2) == self.memory, f"memory is another after restore {self.restored}"
        assert match.group(3) == self.registers, f"the registers are others after restore {self.restored}"
        return int(match.group(1))


def guest_says(text):
    """Without our own lines, which may cut one of the guest's in two."""
    return re.sub(r"\s", "", re.sub(r"(\r\n)?spoor: [^\n]*\n", "", text))


def until_the_end(machine):
    machine.expect(GUEST_END, 60)
    return guest_says(machine.console.before)


@pytest.mark.parametrize("model", ["core2_penryn_t9600", "corei7_haswell_4770", "corei7_skylake_x"])
def test_own_guest(boot, model):
    """In the middle of its work, with page tables, timer and vector registers in use."""
    m = boot(own("own", "snapshot64"), "debug", model=model)
    m.expect("round 3 sum", 30)
    vm = Hashes(m, "own")
    first = until_the_end(m)
    assert "round16sum" in first
    for times in range(3):
        assert vm.restore(look=True) > 40
        m.expect(f"round {6 + 2 * times} sum", 30)
        vm.restore()  # in the middle of what it does again
        assert until_the_end(m) == first
    m.send("q")
    text = m.finish(60)
    assert re.search(r"3 passed, 0 failed", text) and re.search(said.exit_code("own", 16), text)
    assert re.search(said.vm_line("own", r"audit of the shadow tables: 0 violations"), text)
    assert_clean_end(text, "own")


def test_mistakes(boot):
    """Nothing to restore is told, and does nothing; of two VMs the one in front is meant; help names the keys."""
    m = boot(own("one", "snapshot64") + own("two", "snapshot64"))
    m.expect("round 3 sum", 30)
    m.send(RESTORE)
    m.expect(said.vm_error("one", "there is no snapshot to restore"), 20)
    m.send("\x01h")
    m.expect("Ctrl-A s: snapshot of this VM; r: back to it", 20)
    one = Hashes(m, "one")
    m.send("\x01n")
    m.expect('console of vm "two"', 20)
    m.send(RESTORE)
    m.expect(said.vm_error("two", "there is no snapshot to restore"), 20)
    two = Hashes(m, "two")
    assert two.memory != one.memory
    two.restore(look=True)
    m.expect(GUEST_END, 90)
    m.send("\x01n")
    one.restore(look=True)
    m.expect(GUEST_END, 90)
    m.send("q\x01nq")
    text = m.finish(60)
    assert len(re.findall(r"3 passed, 0 failed", text)) == 2


COMMAND = "i=0; while :; do i=$((i+1)); echo $i $(seq 1 50 | md5sum | cut -c1-8) >/tmp/log; " \
          "[ $((i % 10)) = 0 ] && dd if=/dev/urandom of=/tmp/noise bs=64k count=4 2>/dev/null; done &\n"


SORTED = hashlib.md5("".join(f"{n}\n" for n in range(1, 3001)).encode()).hexdigest()[:8]


def start_linux(boot, memory):
    guest = linux("debian", "cloud", memory=memory, arguments="console=ttyS0 quiet")
    m = boot(guest, "debug", model="corei7_haswell_4770")
    m.expect(said.SHELL, 240)
    m.send("stty -echo\n")
    m.expect(said.SHELL, 20)
    m.send(COMMAND)
    m.expect(said.SHELL, 20)
    m.send("sleep 1; echo wor''king $(cut -d' ' -f1 /tmp/log)\n")
    m.expect(r"working [1-9]\d*\r?\n", 60)
    m.expect(said.SHELL, 20)
    return m


def restore_linux(boot, times, every, memory="128M"):
    """A loop of processes and writes runs all the time; each restore comes at another moment of it. @every so many
    the shell works for a while, and makes more dirty."""
    m = start_linux(boot, memory)
    vm = Hashes(m, "debian")
    dirty = []
    for number in range(1, times + 1):
        dirty.append(vm.restore(look=number == 1 or number == times or number % 50 == 0))
        if number % every == 0 or number == times:
            m.send(f"echo ali''ve-{number} $(seq 1 3000 | sort -rn | sort -n | md5sum | cut -c1-8)\n")
            m.expect(rf"alive-{number} {SORTED}\r?\n", 60)
            m.expect(said.SHELL, 20)
    vm.restore(look=True)
    # What ran before the snapshot goes on after the last restore.
    m.send("a=$(cut -d' ' -f1 /tmp/log); sleep 2; b=$(cut -d' ' -f1 /tmp/log); [ $b -gt $a ] && echo go''es-on\n")
    m.expect(r"goes-on\r?\n", 60)
    m.send("kill %1; dmesg | grep -qE 'BUG:|Oops|Call Trace|soft lockup|rcu.*stall' || echo ker''nel-ok\n")
    m.expect(r"kernel-ok\r?\n", 60)
    m.expect(said.SHELL, 20)
    m.send("exit\n")
    m.expect(said.stopped("debian", "power off"), 60)
    text = m.finish(60)
    assert_clean_end(text, "debian")
    assert re.search(said.vm_line("debian", r"audit of the shadow tables: 0 violations"), text)
    assert 0 < sum(dirty) / len(dirty) < vm.pages / 4, "a restore costs what is dirty"
    print(f"{len(dirty)} restores of {min(dirty)} to {max(dirty)} pages of {vm.pages}")


def test_linux(boot):
    restore_linux(boot, 20, 4)


@pytest.mark.long
def test_linux_a_thousand_times(boot):
    restore_linux(boot, 1000, 25)
