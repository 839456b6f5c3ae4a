"""Files that survive a power cut, belong to the gateway's user and are nobody else's to read."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def become_owner(folder: Path) -> None:
    """As root, go on as the user whose directory it is, for good.

    What is written then belongs to the gateway, and whoever took over the gateway's user cannot
    have root write or give away files elsewhere by putting links into its directory.
    """
    if os.geteuid() == 0 and folder.exists():
        owner = folder.stat()
        if owner.st_uid != 0:
            os.setgroups([])
            os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
            os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a directory if need be, and hold it: one command at a time changes what is in it."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write(file: Path, text: str, mode: int = 0o640) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: It was not written; what was there is as it was.
    """
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)  # whatever the umask
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync(file.parent)


def write_if_other(file: Path, text: str, mode: int = 0o640) -> bool:
    """Write a file unless it says this already; return whether it was written."""
    try:
        if file.read_text(encoding="utf-8") == text and file.stat().st_mode & 0o777 == mode:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    write(file, text, mode)
    return True


def sync(folder: Path) -> None:
    """Have a directory's changes on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
