# SPDX-License-Identifier: GPL-2.0-only
"""What the hypervisor and the guests say, in one place: regular expressions for the tests to expect."""

BANNER = r"spoor: Spoor [0-9.]+\S*, a microhypervisor"
NO_VMX = r"spoor: error: this CPU has no VMX \(Intel VT-x\): it cannot run guests"
POWER_OFF = r"spoor: power off"
ALL_STOPPED = r"spoor: the last virtual machine has stopped"
NONE_STARTED = r"spoor: error: no virtual machine could be started"
NO_MEMORY = r"not enough memory"
SHELL = r"guest# "


def error(text):
    return r"spoor: error: " + text


def vm_line(name, text):
    return rf'spoor: vm "{name}": {text}'


def vm_error(name, text):
    return error(rf'vm "{name}": {text}')


def not_started(name):
    return error(rf'vm "{name}" is not started')


def exit_code(name, code):
    return vm_line(name, rf"exit {code}\r?\n")


def stopped(name, why):
    return rf'spoor: vm "{name}" stopped: {why} '


def counts_running(name):
    return vm_line(name, r"track counts while it ran: (\d+)")


def counts_after(name):
    return vm_line(name, r"track counts without its shadow tables: (\d+)")


def pages_back(name):
    return vm_line(name, r"gone, (\d+) of (\d+) free pages are back")


HASHES = r"0x([0-9a-f]+), registers 0x([0-9a-f]+)\r?\n"


def snapshot_taken(name):
    return vm_line(name, r"snapshot of (\d+) pages, for -?\d+ KiB, memory " + HASHES)


def restored(name, all_memory):
    what = "all memory" if all_memory else "memory"
    return vm_line(name, rf"restored (\d+) pages, \d+ kept in \d+ KiB, {what} " + HASHES)
