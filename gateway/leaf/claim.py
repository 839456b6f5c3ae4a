"""Who runs the server of a directory: one process at a time, held by a lock of the kernel's."""

import fcntl
import json
import os
from contextlib import ExitStack
from pathlib import Path

from gateway.errors import LeafError

GATEWAY = "a running gateway"
ALONE = "`weir leaf run`"

_STATE_DIR = "or give this one its own [gateway] state_dir"
_REMEDIES = {
    (ALONE, GATEWAY): 'set [leaf] run = "unit" to use that one, or stop it',
    (GATEWAY, ALONE): 'stop that gateway, or give it [leaf] run = "unit"',
}


def claim(file: Path, role: str) -> ExitStack:
    """Hold a directory until the result is closed, or this process ends in whatever way.

    Args:
        file: The lock, in that directory.
        role: `GATEWAY` or `ALONE`: as what this process runs the server.

    Raises:
        LeafError: Another process holds it, or the file cannot be written.
    """
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(file.open("a+", encoding="utf-8"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.truncate(0)
            lock.write(json.dumps([role, os.getpid()]))
            lock.flush()
        except BlockingIOError as exc:
            raise LeafError(_in_use(file, role)) from exc
        except OSError as exc:
            raise LeafError(f"cannot write into {file.parent}: {exc.strerror}") from exc
        return stack.pop_all()


def _in_use(file: Path, role: str) -> str:
    try:
        holder, pid = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        holder, pid = "another process", "?"  # it has just begun to write
    remedy = _REMEDIES.get((holder, role), f"stop that one, {_STATE_DIR}")
    return f"{file.parent} is in use by {holder} (process {pid}); {remedy}"
