"""What a worker prints, as lines of a bounded log."""

import asyncio
from collections import deque

LOG_LINES = 50
LOG_LINE_CHARS = 500


class Printed(asyncio.Protocol):
    """Reads the pipe that is a worker's output into a log.

    The pipe is not asyncio's own ``PIPE``: with that, the end of a process is not told before
    everything that it started has closed it too.

    Args:
        log: Takes the lines, cut to 500 characters; its ``maxlen`` bounds it.
    """

    def __init__(self, log: deque[str]) -> None:
        self.closed = asyncio.Event()
        self._log = log
        self._rest = ""

    def data_received(self, data: bytes) -> None:
        """Take up whole lines."""
        *lines, rest = (self._rest + data.decode("utf-8", "replace")).split("\n")
        self._log.extend(line[:LOG_LINE_CHARS] for line in lines[-LOG_LINES:] if line.strip())
        self._rest = rest[:LOG_LINE_CHARS]

    def connection_lost(self, exc: Exception | None) -> None:
        """Take up what was printed last."""
        if self._rest.strip():
            self._log.append(self._rest)
        self.closed.set()
