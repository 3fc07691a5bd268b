# SPDX-License-Identifier: GPL-2.0-only
"""A session with the guest's shell over the serial line.

Each command ends with a check; what counts is a word the shell has put together ("ok" and a number), which the echo
of the typed line cannot contain.
"""
import said

# (what is tried, a command that succeeds)
STEPS = [
    ("arithmetic", "[ $((6 * 7)) = 42 ]"),
    ("fork and exec", "[ \"$(/bin/busybox echo a b c)\" = 'a b c' ]"),
    ("a hundred processes", "n=0; while [ $n -lt 100 ]; do /bin/true || break; n=$((n + 1)); done; [ $n = 100 ]"),
    ("a pipe of several", "[ $(seq 1 2000 | grep 7 | sort -rn | sed s/7/8/g | head -n 300 | wc -l) = 300 ]"),
    ("what went through a pipe", "[ $(seq 1 5000 | md5sum | cut -c1-8) = {md5} ]"),
    ("/proc", "[ -r /proc/self/maps ] && grep -q stack /proc/self/maps && grep -q MemTotal /proc/meminfo"),
    ("map and unmap", "dd if=/dev/zero of=/tmp/z bs=1M count=16 2>/dev/null && [ $(wc -c </tmp/z) = 16777216 ] && rm /tmp/z"),
    ("write, copy, compare", "seq 1 20000 >/tmp/a && cp /tmp/a /tmp/b && cmp /tmp/a /tmp/b"),
    ("a signal caught", "got=0; trap 'got=1' USR1; kill -USR1 $$; [ $got = 1 ]"),
    ("a signal that kills", "sh -c 'sleep 1000 & sleep 1; kill -TERM $!; wait $!; [ $? = 143 ]'"),
    ("a segmentation fault", "sh -c 'kill -SEGV $$' 2>/dev/null; [ $? = 139 ]"),
    ("sleep", "a=$(cut -d. -f1 /proc/uptime); sleep 2; b=$(cut -d. -f1 /proc/uptime); [ $((b - a)) -ge 2 ] && [ $((b - a)) -le 4 ]"),
    ("background jobs", "(sleep 1; echo x >/tmp/job) & wait; [ -s /tmp/job ]"),
    ("timer interrupts", "grep -qE 'LOC: +[1-9]' /proc/interrupts"),
    ("serial interrupts", "grep -q ttyS0 /proc/interrupts"),
    ("no oops in the log", "! dmesg | grep -qE 'BUG:|Oops|Call Trace|WARNING: CPU:|soft lockup|rcu.*stall'"),
    ("user and kernel time", "[ $(sed -n 's/^processor.*/x/p' /proc/cpuinfo | wc -l) = 1 ]"),
]


def run(machine):
    """Waits for the shell, runs every step and leaves it; the guest then powers off."""
    machine.expect(said.SHELL, 240)
    # The line editor repaints; a plain prompt and no echo make the dialogue simple.
    machine.send("stty -echo\n")
    machine.expect(said.SHELL, 20)
    for number, (what, command) in enumerate(STEPS, 1):
        machine.send(f"{command.replace('{md5}', MD5)} && echo o''k-{number} || echo ba''d-{number}\n")
        match = machine.expect(rf"(ok|bad)-{number}\r?\n", 60)
        assert match.group(1) == "ok", f"step {number} fails in the guest: {what}: {command}"
        machine.expect(said.SHELL, 20)
    machine.send("exit\n")


MD5 = __import__("hashlib").md5("".join(f"{n}\n" for n in range(1, 5001)).encode()).hexdigest()[:8]
