"""What systemd is told of a service: one datagram for each state (sd_notify(3))."""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Self

log = logging.getLogger(__name__)

_SEND_S = 1.0


class Notifier:
    """Tells systemd how this process is; without a systemd that asks it does nothing.

    Args:
        address: The socket: a path, or ``@name`` of an abstract one; "" for none.
        watchdog_s: Within this it wants to hear `alive`, else it ends the process; 0: never.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return what a process with this environment was asked to tell."""
        watchdog_s = 0.0
        if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            micros = environ.get("WATCHDOG_USEC", "")
            watchdog_s = int(micros) / 1e6 if micros.isdecimal() else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog_s)

    @property
    def is_asked(self) -> bool:
        """Say whether anybody listens."""
        return bool(self._address)

    def ready(self, line: str = "") -> None:
        """Tell that the start is over; whatever waits for this service begins now."""
        self._send("READY=1", f"STATUS={_one(line)}")

    def status(self, line: str) -> None:
        """Tell how it is, for ``systemctl status``."""
        self._send(f"STATUS={_one(line)}")

    def alive(self) -> None:
        """Tell that it works, as the watchdog wants to hear."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Tell that it stops in order."""
        self._send("STOPPING=1", "STATUS=stopping")

    def _send(self, *states: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.settimeout(_SEND_S)
                out.sendto("\n".join(states).encode(), self._address)
        except OSError as exc:  # systemd itself restarts: it hears the next one
            log.debug("systemd was not told: %s", exc)


def _one(line: str) -> str:
    return " ".join(line.split())
