"""Where log records go: to the journal with fields to look for, or to standard error.

The journal's native protocol (systemd's JOURNAL_NATIVE_PROTOCOL): one datagram, a field a line;
a value with a line break has its length before it. ``journalctl PLUGIN=machine-anomaly`` finds what
concerns a plugin, ``CAMERA=``, ``DEVICE=`` and ``PROFILE=`` likewise.
"""

import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping

SOCKET = "/run/systemd/journal/socket"
MOST_CHARS = 16_000  # of a message: a datagram has room for it, whatever the text's encoding

_SEND_S = 0.2
_PRIORITIES = (  # syslog(3)
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_PLACE = re.compile(r"(?:\b(plugin|camera|device|profile) )?%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]")
_TEXT_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def set_up(level: str, identifier: str = "weir") -> None:
    """Send this process's log records to the journal if that has its standard error, else there.

    Args:
        level: ``debug``, ``info`` ...
        identifier: Its name in the journal.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    text = logging.StreamHandler(sys.stderr)
    text.setFormatter(logging.Formatter(_TEXT_FORMAT))
    journal = is_journal(sys.stderr.fileno(), os.environ)
    handler = JournalHandler(SOCKET, identifier, text) if journal else text
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("nats").setLevel(logging.ERROR)  # ours say it in words


def is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Say whether a descriptor is the stream that systemd connected to the journal.

    ``JOURNAL_STREAM`` has its device and inode: it is inherited by whoever redirects elsewhere.
    """
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.Handler):
    """Writes records to the journal.

    Args:
        address: Its socket.
        identifier: This process's name there.
        otherwise: Takes what the journal does not.
    """

    def __init__(self, address: str, identifier: str, otherwise: logging.Handler) -> None:
        super().__init__()
        self._address = address
        self._identifier = identifier
        self._otherwise = otherwise
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_SEND_S)  # a journal that hangs must not hold up the event loop

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            data = encode({**fields(record), "SYSLOG_IDENTIFIER": self._identifier})
            self._socket.sendto(data, self._address)
        except OSError:
            self._otherwise.emit(record)
        except (ValueError, TypeError):  # arguments that do not fit the text
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def fields(record: logging.LogRecord) -> dict[str, str]:
    """Return a record's fields as the journal names them."""
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + logging.Formatter().formatException(record.exc_info)
    return {
        "MESSAGE": message[:MOST_CHARS],
        "PRIORITY": str(next((p for level, p in _PRIORITIES if record.levelno >= level), 7)),
        "LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
        "THREAD_NAME": record.threadName or "",
        **dict(_subjects(record)),
    }


def encode(pairs: Mapping[str, str]) -> bytes:
    """Return the datagram of fields; empty ones are left out."""
    parts = []
    for key, text in pairs.items():
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            parts.append(key.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n")
        elif value:
            parts.append(key.encode() + b"=" + value + b"\n")
    return b"".join(parts)


def _subjects(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    """Yield what a record speaks of, as its text says: ``plugin %s: ...`` names a plugin."""
    if not isinstance(record.args, tuple):
        return
    places = _PLACE.finditer(str(record.msg).replace("%%", ""))
    for place, value in zip(places, record.args, strict=False):
        if place[1]:
            yield place[1].upper(), str(value)[:MOST_CHARS]
