"""The running device broker: have it take up what changed, and end a device's connection."""

import os
import signal
import socket
import time
from pathlib import Path

from gateway.access import packets

_LIMIT_S = 3.0
_AGAIN_S = 0.05
_CONNACK_BYTES = 4


def reload(folder: Path) -> bool:
    """Have the broker read passwords, keys, topics and certificate anew; nobody is disconnected.

    But those whose user or password counts no more: Mosquitto ends their connections.

    Args:
        folder: Where its ``mosquitto.pid`` lies.

    Returns:
        Whether one was told: none runs on this directory otherwise.
    """
    pid = running(folder)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def running(folder: Path) -> int | None:
    """Return the broker's process; None where none runs, whatever an old file says."""
    try:
        pid = int((folder / "mosquitto.pid").read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return None
    return pid if name == "mosquitto" else None


def take_over(port: int, user: str, password: str) -> bool:
    """Connect once as a user, which ends the connection that it has; return whether it did.

    Mosquitto does not end a connection by pre-shared key when the key is gone, only by a client
    of the same id. What was written before is tried for a while: the broker reads it in its time.
    """
    until = time.monotonic() + _LIMIT_S
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), _LIMIT_S) as connection:
                connection.sendall(packets.connect(user, user, password))
                if connection.recv(_CONNACK_BYTES) == packets.connack(4):
                    return True
        except OSError:
            pass
        time.sleep(_AGAIN_S)
    return False
