# SPDX-License-Identifier: GPL-2.0-only
"""Disk images: as the module of a VM, and as what a bare machine starts from."""
import os
import shutil
import struct

from machine import BUILD, Module, bochs

BOOT16 = os.path.join(BUILD, "guest", "boot16.img")
FIRMWARE = os.path.join(BUILD, "gen", "bios.bin")

SECTOR = 512
CYLINDER = 16 * 63 * SECTOR
RAM, RESERVED = 1, 2

# Where the firmware finds the disk on a bare machine. Bochs puts a file into RAM whole only up to its own unit of
# memory; it takes four.
RAM_DISK = 24 << 20
RAM_PIECE = 128 << 10
RAM_PIECES = 4
MEMORY_MIB = 32


def module(name, image, memory="64M"):
    """The module of a VM that starts from the disk @image, a file or bytes."""
    return [Module(image, f"name={name} kind=disk mem={memory}")]


def on_bios(image):
    """For Machine: a hard disk with @image, and the BIOS of Bochs."""
    def make(directory):
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, "disk.img")
        shutil.copyfile(image, path)
        os.truncate(path, -(-os.path.getsize(image) // CYLINDER) * CYLINDER)
        return path, bochs.DISK
    return make


def parameters(size):
    """The firmware's parameter block for a disk of @size bytes at RAM_DISK: struct bios_block in kernel/load_disk.h."""
    ranges = [(0, 0x9FC00, RAM), (0x9FC00, 0xA0000, RESERVED), (0xF0000, 0x100000, RESERVED),
              (0x100000, RAM_DISK, RAM), (RAM_DISK, MEMORY_MIB << 20, RESERVED)]
    block = struct.pack("<8s3I", b"SpoorDsk", RAM_DISK, -(-size // SECTOR), len(ranges))
    return block + b"".join(struct.pack("<2QI", base, end - base, kind) for base, end, kind in ranges)


def on_firmware(image):
    """For Machine: our own firmware as the machine's ROM, @image in RAM."""
    def make(directory):
        os.makedirs(directory, exist_ok=True)
        with open(FIRMWARE, "rb") as f:
            rom = f.read()
        with open(image, "rb") as f:
            disk = f.read()
        assert len(disk) <= RAM_PIECE * RAM_PIECES, "Bochs cannot put so much into RAM"
        block = parameters(len(disk))
        path = os.path.join(directory, "firmware.rom")
        with open(path, "wb") as f:
            f.write(block + rom[len(block):])
        start = f"romimage: file={path}, address={(1 << 32) - len(rom):#x}\n"
        for number, at in enumerate(range(0, len(disk), RAM_PIECE)):
            piece = os.path.join(directory, f"disk{number}")
            with open(piece, "wb") as f:
                f.write(disk[at:at + RAM_PIECE])
            start += f"optramimage{number + 1}: file={piece}, address={RAM_DISK + at:#x}\n"
        return path, start
    return make
