"""Pictures out of a ``multipart/x-mixed-replace`` stream, as cameras send it.

Cameras differ: with or without ``Content-Length``, with the two dashes inside the boundary
parameter or not, with blank lines before the first part. What is not a whole JPEG is passed over.
"""

import re

from gateway.ingest.cameras.jpeg import MAX_JPEG_BYTES

_LENGTH = re.compile(rb"^content-length:\s*(\d{1,9})\s*$", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_MAX_HEAD_BYTES = 8192


class TooLargeError(Exception):
    """A part is larger than any picture."""


class Multipart:
    """Takes the stream piece by piece and gives its parts' bodies.

    Args:
        boundary: The parameter of the content type.
    """

    def __init__(self, boundary: str) -> None:
        self._mark = b"--" + boundary.strip().strip('"').lstrip("-").encode("latin-1", "replace")
        self._held = bytearray()
        self._length: int | None = None
        self._in_body = False
        self._searched = 0  # bytes of a body that hold no boundary

    def feed(self, data: bytes) -> list[bytes]:
        """Add a piece and return the bodies that are complete now, in order.

        Raises:
            TooLargeError: The boundary does not come, or a length is beyond reason.
        """
        self._held += data
        found: list[bytes] = []
        while (body := self._next()) is not None:
            if body:
                found.append(body)
        return found

    def _next(self) -> bytes | None:
        """Return the next body, b"" for progress without one, None when more is needed."""
        if not self._in_body:
            return self._head()
        if self._length is not None:
            if len(self._held) < self._length:
                return None
            return self._cut(self._length)
        end = self._held.find(self._mark, self._searched)
        if end < 0:
            if len(self._held) > MAX_JPEG_BYTES:
                raise TooLargeError
            self._searched = max(0, len(self._held) - len(self._mark))
            return None
        return self._cut(end)

    def _head(self) -> bytes | None:
        start = self._held.find(self._mark)
        end = _HEAD_END.search(self._held, start + len(self._mark)) if start >= 0 else None
        if end is None:
            if len(self._held) > _MAX_HEAD_BYTES:
                raise TooLargeError
            return None
        length = _LENGTH.search(bytes(self._held[start : end.end()]))
        self._length = int(length[1]) if length else None
        if self._length is not None and self._length > MAX_JPEG_BYTES:
            raise TooLargeError
        del self._held[: end.end()]
        self._in_body, self._searched = True, 0
        return b""

    def _cut(self, end: int) -> bytes:
        body = bytes(self._held[:end])
        del self._held[:end]
        self._in_body = False
        return body
