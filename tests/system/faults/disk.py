"""File systems of their own on loop devices: cut off from their power, full, failing.

ext4's shutdown call (as xfstests use it) stops all writing at once: what was not synced is not on
the device, and the next mount finds what a power cut would have left, less what a disk's own cache
would have lost. Needs root.
"""

import fcntl
import os
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), fs/ext4/ext4.h
_NOLOGFLUSH = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal
_BUSY_S = 10.0
_FILL = "filled"


def missing(folder: Path) -> str:
    """Say why there can be no such file system here; "" if there can."""
    if os.geteuid() != 0:
        return "needs root"
    volume = Volume(folder / "trial.img", folder / "trial", 8)
    try:
        volume.make()
        volume.unmount()
    except (OSError, subprocess.CalledProcessError) as exc:
        return f"no file system on a loop device here: {exc}"
    finally:
        volume.image.unlink(missing_ok=True)
    return ""


class Volume:
    """An ext4 in a file, mounted at a folder.

    Args:
        image: The file.
        at: The folder.
        size_mb: Of the file system.
    """

    def __init__(self, image: Path, at: Path, size_mb: int) -> None:
        self.image = image
        self.at = at
        self._size_mb = size_mb

    def make(self) -> None:
        """Make and mount it, empty."""
        with self.image.open("wb") as file:
            file.truncate(self._size_mb << 20)
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0", str(self.image))
        self.at.mkdir(parents=True, exist_ok=True)
        self.mount()

    def mount(self) -> None:
        """Mount it; what the journal holds is taken up."""
        _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.at))

    def unmount(self) -> None:
        """Unmount it, as soon as nobody holds it."""
        until = time.monotonic() + _BUSY_S
        while self.at.is_mount():
            try:
                _run("umount", str(self.at))
            except subprocess.CalledProcessError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def cut_power(self) -> None:
        """Let nothing more reach the device, from this moment on."""
        descriptor = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def fail(self) -> None:
        """Go read-only as after an error of the device, until it is mounted again."""
        _run("mount", "-o", "remount,abort", str(self.at))

    def fill(self) -> None:
        """Leave no room, all at once: a box that sees it coming gives raw data up first."""
        with (self.at / _FILL).open("ab") as file:
            for size in (64 << 20, 1 << 20, 4096):
                with suppress(OSError):
                    while True:
                        end = os.fstat(file.fileno()).st_size
                        os.posix_fallocate(file.fileno(), end, size)

    def empty(self) -> None:
        """Give the room back."""
        (self.at / _FILL).unlink(missing_ok=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
