# SPDX-License-Identifier: GPL-2.0-only
"""This terminal on the guest's serial line, both ways, until the machine ends or the user does: Ctrl-A x."""
import os
import select
import signal
import sys
import termios
import time
import tty

ESCAPE = 1  # Ctrl-A
HELP = "Ctrl-A x ends the machine, Ctrl-A h shows what else the hypervisor takes"
# How long the hypervisor has to end its VMs and power off after Ctrl-A x.
GRACE_SECONDS = 5


class Terminal:
    """Raw mode while it is entered; on every way out, an exception or a signal too, the terminal is as before."""

    def __init__(self):
        self.fd = sys.stdin.fileno() if sys.stdin and not sys.stdin.closed else -1
        self.saved = None

    def __enter__(self):
        if self.fd >= 0 and os.isatty(self.fd):
            self.saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd)
            # Raw input, but our own messages and the guest's lines still end with carriage returns added.
            mode = termios.tcgetattr(self.fd)
            mode[1] |= termios.OPOST | termios.ONLCR
            termios.tcsetattr(self.fd, termios.TCSADRAIN, mode)
        return self

    def __exit__(self, *_):
        if self.saved is not None:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)
            self.saved = None
            # The guest may have left colours or an invisible cursor behind.
            sys.stdout.write("\x1b[0m\x1b[?25h")
            sys.stdout.flush()


class Ended(Exception):
    """A signal asks us to end."""


def _raise_ended(number, _frame):
    raise Ended(signal.Signals(number).name)


class Progress:
    """Until the first byte arrives, and only on a terminal: one line that says what is going on and for how long."""

    def __init__(self, what):
        self.what = what
        self.started = time.monotonic()
        self.shown = False
        self.done = not sys.stdout.isatty()

    def tick(self):
        if not self.done:
            sys.stdout.write(f"\r[{self.what}: firmware and GRUB, {time.monotonic() - self.started:.0f} s] ")
            sys.stdout.flush()
            self.shown = True

    def finish(self):
        if self.shown:
            sys.stdout.write("\r\x1b[K")
        self.shown = False
        self.done = True


class Keys:
    """Watches what is typed for Ctrl-A x. All of it goes to the hypervisor, which knows the same key."""

    def __init__(self):
        self.escaped = False

    def feed(self, data):
        """Whether the user asks for the end."""
        end = False
        for byte in data:
            end = end or (self.escaped and byte in b"xX")
            self.escaped = not self.escaped and byte == ESCAPE
        return end


def _loop(machine, terminal, progress, log, deadline):
    serial = machine.serial.fileno()
    keys = Keys()
    asked = False
    inputs = [serial] + ([terminal.fd] if terminal.fd >= 0 else [])
    while True:
        ready, _, _ = select.select(inputs, [], [], 1.0)
        if serial in ready:
            data = os.read(serial, 65536)
            if not data:
                return "off"
            progress.finish()
            os.write(sys.stdout.fileno(), data)
            if log:
                log.write(data)
                log.flush()
        elif machine.process.poll() is not None:
            return "off"
        else:
            progress.tick()
        if terminal.fd in ready:
            typed = os.read(terminal.fd, 1024)
            if not typed:
                inputs.remove(terminal.fd)  # end of a pipe: the guest runs on
                continue
            machine.serial.sendall(typed)
            if keys.feed(typed):
                if asked:
                    return "key"
                asked = True
                deadline = time.monotonic() + GRACE_SECONDS
        if deadline and time.monotonic() > deadline:
            return "key" if asked else "time"


def connect(machine, log=None, seconds=None):
    """Runs until the machine is off ("off"), the key is pressed ("key"), time is up ("time") or a signal came."""
    before = {s: signal.signal(s, _raise_ended) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    progress = Progress(machine.name)
    deadline = time.monotonic() + seconds if seconds else None
    try:
        with Terminal() as terminal:
            return _loop(machine, terminal, progress, log, deadline)
    except Ended as signal_name:
        return str(signal_name)
    except (ConnectionResetError, BrokenPipeError, OSError) as problem:
        if machine.process.poll() is None and not isinstance(problem, ConnectionError):
            raise
        return "off"
    finally:
        progress.finish()
        for number, handler in before.items():
            signal.signal(number, handler)
