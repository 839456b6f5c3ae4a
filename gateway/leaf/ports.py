"""TCP ports for servers of this box: the one configured, the one of last time, or a free one."""

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway.errors import LeafError
from gateway.leaf.passwords import write_private


class Wanted(NamedTuple):
    """A port that is wanted.

    Attributes:
        host: The address to listen on.
        port: Its number; 0 for last time's where still free, else any.
        remedy: What to do when it is taken.
    """

    host: str
    port: int = 0
    remedy: str = ""


def is_free(host: str, port: int) -> bool:
    """Say whether a server could listen on ``host:port`` now."""
    return _try(host, port) is not None


def choose_ports(file: Path, wanted: Mapping[str, Wanted]) -> dict[str, int]:
    """Return a port for each name, and keep the choice in ``file`` for the next start.

    Raises:
        LeafError: A port that was asked for by number is taken, or its host is not of this box.
    """
    kept = _read(file)
    chosen: dict[str, int] = {}
    for name, want in wanted.items():
        if want.port:
            chosen[name] = _claim(want)
        else:
            chosen[name] = _pick(want.host, kept.get(name, 0), set(chosen.values()))
    if chosen != kept:
        # Through a power cut too: devices and their configuration know the port.
        write_private(file, json.dumps(chosen))
    return chosen


def _claim(want: Wanted) -> int:
    if not is_free(want.host, want.port):
        raise LeafError(
            f"cannot listen on {want.host}:{want.port}: the port is taken, perhaps by another "
            f"server, or the address is not of this machine; {want.remedy}"
        )
    return want.port


def _pick(host: str, kept: int, taken: set[int]) -> int:
    if kept and kept not in taken and is_free(host, kept):
        return kept
    for _ in range(100):
        port = _try(host, 0)
        if port is None:
            break
        if port not in taken:
            return port
    raise LeafError(f"no free port on {host}; is that an address of this machine?")


def _try(host: str, port: int) -> int | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            # As servers do: a connection of the last run in TIME_WAIT does not make a port taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)  # SO_REUSEADDR lets two bind; only one can listen
            return int(listener.getsockname()[1])
    except (OSError, OverflowError):
        return None


def _read(file: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(kept, dict):
            return {str(name): port for name, port in kept.items() if isinstance(port, int)}
    return {}
