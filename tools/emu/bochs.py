# SPDX-License-Identifier: GPL-2.0-only
"""Bochs: the machine that emulates VMX completely, on any host."""
import os

from . import process

MODELS = ("core2_penryn_t9600", "corei5_lynnfield_750", "corei5_arrandale_m520", "corei7_sandy_bridge_2600k",
          "corei7_haswell_4770", "corei7_skylake_x", "corei7_icelake_u", "tigerlake")
DEFAULT_MODEL = "corei7_haswell_4770"
# Instructions per emulated second. So many that guest timers do not inflate instruction counts.
MEASURING_IPS = 1000000000

# How a machine starts: lines for RC.
BIOS = """\
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
"""
CDROM = BIOS + """\
ata0-master: type=cdrom, path={path}, status=inserted
boot: cdrom
"""
DISK = BIOS + """\
ata0-master: type=disk, mode=flat, path={path}, cylinders=0
boot: disk
"""

RC = """\
{start}\
cpu: model={model}, count=1, ips={ips}, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
clock: sync=none, time0=1700000000
display_library: rfb, options="timeout=0"
com1: enabled=1, mode={serial}
port_e9_hack: enabled=1
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
log: {log}
sound: waveoutdrv=dummy
"""


class Bochs:
    """One run of Bochs on @medium, an ISO unless @start says otherwise. All its files live in @directory; the serial
    line is self.serial, a socket."""

    name = "Bochs"

    def __init__(self, medium, directory, model=DEFAULT_MODEL, memory=1024, ips=MEASURING_IPS, debugger=("c",),
                 start=CDROM):
        os.makedirs(directory, exist_ok=True)
        self.log = os.path.join(directory, "bochs.log")
        self.output = os.path.join(directory, "bochs.out")
        port = process.free_port()
        rc = os.path.join(directory, "bochsrc")
        commands = os.path.join(directory, "bochs.commands")
        with open(rc, "w", encoding="ascii") as f:
            f.write(RC.format(start=start.format(path=medium), model=model, ips=ips, memory=memory, log=self.log,
                              serial=f"socket-server, dev=localhost:{port}"))
        # Debian's build has the internal debugger: it waits for commands, so give it "continue".
        with open(commands, "w", encoding="ascii") as f:
            f.write("\n".join(debugger) + "\n")
        self.process = process.start(["bochs", "-q", "-f", rc, "-rc", commands], self.output)
        # Bochs waits for us at its serial port before the first instruction: no byte is lost.
        self.serial = process.connect(self.process, ("127.0.0.1", port))
        if self.serial is None:
            process.stop(self.process)
            raise process.EmulatorError("Bochs did not start:\n" + self.diagnosis())

    def stop(self):
        status = process.stop(self.process)
        self.serial.close()
        return status

    def diagnosis(self):
        """The end of what Bochs said of itself."""
        return process.tail(self.output, 6) + process.tail(self.log)

    def broke_down(self):
        """Bochs calls a power-off a panic too; anything else that it calls so is one."""
        panics = [line for line in process.tail(self.log, 10000).splitlines() if ">>PANIC<<" in line]
        return any("soft power off" not in line and "shutdown requested" not in line for line in panics)
