"""Which process a server was, and what to do with one that its gateway left behind.

The kernel ends the server of a killed gateway (see `tether`), except where it cannot: a stopped
or hung server stays, and holds its ports and its store. The next start ends it for good.
"""

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway.errors import LeafError

_TERM_S = 3.0
_KILL_S = 5.0


class Identity(NamedTuple):
    """One process, told from a later one with the same number.

    Attributes:
        pid: Its number.
        born: The boot it belongs to and its start in clock ticks since then (proc(5), field 22):
            unlike a wall clock time, that does not move when the clock is set.
    """

    pid: int
    born: str


def identify(pid: int) -> Identity | None:
    """Return the identity of a living process, or None where there is none.

    A zombie is none, unless threads of it still run: those hold its ports and files open.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    state, threads, started = fields[0], int(fields[17]), fields[19]
    return None if state in "ZX" and threads <= 1 else Identity(pid, f"{boot}/{started}")


def is_alive(identity: Identity) -> bool:
    """Say whether this very process still lives."""
    return identify(identity.pid) == identity


def record(file: Path, server_pid: int) -> None:
    """Note which server runs here and that this process is its gateway."""
    found = {"server": identify(server_pid), "owner": identify(os.getpid())}
    file.write_text(json.dumps(found), encoding="utf-8")


def recorded(file: Path) -> Identity | None:
    """Return which server was noted last, whether it still lives or not; None without a note."""
    return _read(file, "server")


async def reap(file: Path) -> bool:
    """End a server that an earlier gateway left behind.

    Returns:
        Whether there was one.

    Raises:
        LeafError: Its gateway still lives, so it is in use; or it could not be ended.
    """
    server, owner = recorded(file), _read(file, "owner")
    if server is None or not is_alive(server):
        return False
    if owner is not None and is_alive(owner) and owner.pid != os.getpid():
        raise LeafError(
            f"{file.parent} is in use by a running gateway (process {owner.pid}); stop that one, "
            "or give this one its own [gateway] state_dir"
        )
    for number, limit_s in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, _KILL_S)):
        with suppress(ProcessLookupError):
            os.kill(server.pid, number)
        if await _gone(server, limit_s):
            return True
    raise LeafError(f"the server of an earlier run (process {server.pid}) cannot be ended")


async def _gone(server: Identity, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not is_alive(server):
            return True
        await asyncio.sleep(0.02)
    return False


def _read(file: Path, key: str) -> Identity | None:
    try:
        pid, born = json.loads(file.read_text(encoding="utf-8"))[key]
        return Identity(int(pid), str(born))
    except (OSError, ValueError, KeyError, TypeError):
        return None
