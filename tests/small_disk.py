"""File systems of a few megabytes for tests that fill them; only root can mount them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size_mb: int) -> Iterator[Path]:
    """Give a tmpfs of this size at ``folder``, or skip the test."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Use up all room of a file system, as other programs may; return the file that has it."""
    hog = folder / "hog"
    with hog.open("ab", buffering=0) as file:
        for size in (1_000_000, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert shutil.disk_usage(folder).free == 0
    return hog


@contextmanager
def mounted_image(folder: Path, size_mb: int) -> Iterator[Path]:
    """Give an ext4 on a loop device at ``folder``, its image beside it, or skip the test."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("only root can mount a small file system, and mkfs.ext4 makes it")
    image = folder.with_name(f"{folder.name}.img")
    with image.open("wb") as file:
        file.truncate(size_mb * 1_000_000)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    folder.mkdir()
    done = mount_image(folder)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def mount_image(folder: Path, options: str = "loop") -> "subprocess.CompletedProcess[str]":
    """Mount the image beside a folder there."""
    image = folder.with_name(f"{folder.name}.img")
    return subprocess.run(
        ["mount", "-o", options, str(image), str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def mend(folder: Path) -> None:
    """Unmount, check and mount an image again, as after a fault of the disk."""
    subprocess.run(["umount", str(folder)], check=True)
    subprocess.run(
        ["e2fsck", "-fy", str(folder.with_name(f"{folder.name}.img"))],
        capture_output=True, check=False,
    )  # fmt: skip
    assert mount_image(folder).returncode == 0
