"""Pictures: whole JPEG, PNG and WebP files, as bytes or as base64 text, in one message or in parts.

A picture becomes ``{media, bytes, sha256}``: its type, size and hash say which one it was. The
picture itself goes to the plugins that look at cameras, and no further.
"""

import base64
import binascii
import hashlib
from typing import Any, Literal

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options


class Described(dict[str, Any]):
    """What is said of a picture, and beside it the picture, which expressions do not see."""

    __slots__ = ("body",)

    def __init__(self, media: str, body: bytes) -> None:
        sha256 = hashlib.sha256(body).hexdigest()
        super().__init__(media=media, bytes=len(body), sha256=sha256)
        self.body = body


_JPEG, _PNG, _RIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF"
_END_OF_JPEG, _START_OF_SCAN = b"\xff\xd9", 0xDA
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length: TEM, RST0 to RST7


class ImageOptions(Options):
    """``image``: one whole picture; ``p`` is ``{media, bytes, sha256}``."""

    name: Literal["image"] = "image"

    def build(self) -> Codec:
        """Return the codec; DecodeError: ``bad_image``, ``truncated_image``, ``too_large``."""
        return _image


def _image(message: RawMessage) -> Described:
    payload = message.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    if not payload:
        raise DecodeError("empty_payload")
    return picture(payload if _media(payload) else _from_base64(payload))


def picture(body: bytes) -> Described:
    """Describe a picture.

    Raises:
        DecodeError: ``bad_image``: it is no JPEG, PNG or WebP; ``truncated_image``: it is cut off.
    """
    media = _media(body)
    if not media:
        raise DecodeError("bad_image", f"begins with {body[:8].hex()}")
    if not _WHOLE[media](body):
        raise DecodeError("truncated_image", f"{media}, {len(body)} bytes")
    return Described(media, body)


def _media(body: bytes) -> str:
    if body.startswith(_JPEG):
        return "image/jpeg"
    if body.startswith(_PNG):
        return "image/png"
    return "image/webp" if body.startswith(_RIFF) and body[8:12] == b"WEBP" else ""


def _from_base64(payload: bytes) -> bytes:
    text = payload.strip()
    if text.startswith(b"data:image/"):
        text = text.partition(b",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise DecodeError("bad_image", str(exc)) from exc


def _whole_jpeg(body: bytes) -> bool:
    """Walk the segments up to the first scan; the end must stand behind it (ITU-T T.81, B.1).

    Cameras pad what follows the end, so it need not be the last two bytes.
    """
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(body[at + 2 : at + 4])
        if marker == _START_OF_SCAN:
            return body.find(_END_OF_JPEG, at) >= 0
    return False


def _whole_png(body: bytes) -> bool:
    return body.endswith(b"IEND\xaeB`\x82")


def _whole_webp(body: bytes) -> bool:
    return len(body) >= 8 + int.from_bytes(body[4:8], "little")


_WHOLE = {"image/jpeg": _whole_jpeg, "image/png": _whole_png, "image/webp": _whole_webp}
