# SPDX-License-Identifier: GPL-2.0-only
"""A child emulator that never outlives us, and the lock that lets one run at a time."""
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")
PR_SET_PDEATHSIG = 1


class EmulatorError(Exception):
    """The machine did not start or broke down; the text says what to look at."""


class EmulatorLock:
    """One emulator at a time per checkout, or per machine if SPOOR_EMULATOR_LOCK names a file all share."""

    def __init__(self, wait=True):
        self.path = os.environ.get("SPOOR_EMULATOR_LOCK") or os.path.join(BUILD, ".emulator.lock")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.file = open(self.path, "a+", encoding="ascii")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.file.seek(0)
            holder = self.file.read().strip() or "unknown"
            self.file.close()
            raise EmulatorError(f"another machine is running (pid {holder}, lock {self.path})") from None
        self.file.truncate(0)
        self.file.write(f"{os.getpid()}\n")
        self.file.flush()

    def release(self):
        if not self.file.closed:
            self.file.truncate(0)
            self.file.close()


def _die_with_parent():
    """Runs in the child: a killed parent leaves no emulator behind, and Ctrl-C is ours to handle, not its."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)


def start(command, output):
    """Starts an emulator with its own output in the file @output."""
    with open(output, "wb") as sink:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
                                preexec_fn=_die_with_parent)


def stop(process):
    """Ends the emulator: politely for half a second, then by SIGKILL. Returns its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(process, address, seconds=15):
    """A socket to the emulator's serial port, tried until it listens; None if the emulator ended first."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        s = socket.socket(family, socket.SOCK_STREAM)
        try:
            s.connect(address)
            return s
        except OSError:
            s.close()
        if process.poll() is not None:
            return None
        time.sleep(0.05)
    return None


def tail(path, lines=15):
    try:
        with open(path, "r", encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return ""
