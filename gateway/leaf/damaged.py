"""A stream that nats-server cannot recover: set aside, so that the server starts without it."""

import shutil
import time
from pathlib import Path

from gateway.errors import LeafError

FOLDER = "set-aside"
_KEPT = 2


def set_aside(stream: Path, directory: Path) -> Path:
    """Move a stream's folder to ``set-aside`` in the server's directory; return where it is now.

    Raises:
        LeafError: It cannot be moved.
    """
    parent = directory / FOLDER
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        number = 1
        while (target := parent / f"{stamp}-{number}-{stream.name}").exists():
            number += 1
        stream.rename(target)
        for old in sorted(parent.glob(f"*-{stream.name}"))[:-_KEPT]:
            shutil.rmtree(old)
    except OSError as exc:
        raise LeafError(f"{stream}: cannot be set aside: {exc.strerror}") from exc
    return target


def found(directory: Path) -> list[Path]:
    """Return the streams that were set aside, the oldest first."""
    return sorted((directory / FOLDER).glob("*"))
