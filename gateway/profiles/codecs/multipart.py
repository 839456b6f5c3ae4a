"""A stretch of a Motion JPEG stream: ``multipart/x-mixed-replace`` (RFC 2046, 5.1)."""

import re
from typing import Any, Literal

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.image import picture

_HEADER = re.compile(rb"^([A-Za-z-]{1,40}):[ \t]*([^\r\n]{0,200})\r?$", re.MULTILINE)
_MAX_PARTS = 256


class MultipartOptions(Options):
    """``image-stream``: ``p`` is an array of ``{image: {media, bytes, sha256}, time}``.

    ``time`` is what a part's ``X-Timestamp`` says (Unix seconds as text), or null.
    """

    name: Literal["image-stream"] = "image-stream"

    def build(self) -> Codec:
        """Return the codec; DecodeError: ``bad_parts``, ``too_large``, what `picture` raises."""
        return _parts


def _parts(message: RawMessage) -> list[dict[str, Any]]:
    payload = message.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    parts: list[dict[str, Any]] = []
    at = 0
    while at < len(payload) and len(parts) < _MAX_PARTS:
        part, at = _part(payload, at)
        if part is None:
            break
        parts.append(part)
    if not parts:
        raise DecodeError("bad_parts", "no boundary, or no part behind it")
    return parts


def _part(payload: bytes, at: int) -> tuple[dict[str, Any] | None, int]:
    """Return the part that begins at or behind an offset, and where it ends."""
    begin = payload.find(b"--", at)
    end = payload.find(b"\r\n\r\n", begin)
    if begin < 0 or end < 0:
        return None, len(payload)
    headers = {k.lower(): v for k, v in _HEADER.findall(payload, begin, end)}
    length = headers.get(b"content-length", b"")
    # By its length, not by the next boundary: those bytes may stand in a picture too.
    if not length.isdigit() or len(length) > 8:
        raise DecodeError("bad_parts", "a part without Content-Length")
    body = payload[end + 4 : end + 4 + int(length)]
    if len(body) < int(length):
        raise DecodeError("truncated_image", f"{len(body)} of {int(length)} bytes")
    time = headers.get(b"x-timestamp", b"").decode("ascii", "replace")
    return {"image": picture(body), "time": time or None}, end + 4 + len(body)
