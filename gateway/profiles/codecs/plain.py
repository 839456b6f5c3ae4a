"""Text, a number as text, bytes as they are, and payloads that nobody reads."""

from typing import Literal

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.words import is_missing, number


class TextOptions(Options):
    """``text``: UTF-8 without the white space around it."""

    name: Literal["text"] = "text"

    def build(self) -> Codec:
        """Return the codec; it raises DecodeError ``bad_utf8``."""
        return _text


class NumberOptions(Options):
    """``number``: a number as text; ``nan``, ``None`` and the like are null."""

    name: Literal["number"] = "number"

    def build(self) -> Codec:
        """Return the codec; it raises DecodeError ``bad_utf8`` and ``bad_number``."""
        return _number


class BytesOptions(Options):
    """``bytes``: the payload as it is, for `decode`, `hex` and the like."""

    name: Literal["bytes"] = "bytes"

    def build(self) -> Codec:
        """Return the codec; it raises DecodeError ``empty_payload`` and ``too_large``."""
        return _bytes


class NoneOptions(Options):
    """``none``: the payload is not read; the message says only that the device is alive."""

    name: Literal["none"] = "none"

    def build(self) -> Codec:
        """Return the codec."""
        return lambda _: None


def _bytes(message: RawMessage) -> bytes:
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(message.payload)} bytes")
    if not message.payload:
        raise DecodeError("empty_payload")
    return message.payload


def _text(message: RawMessage) -> str:
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(message.payload)} bytes")
    return utf8(message.payload)


def utf8(payload: bytes) -> str:
    """Return the text without the white space around it; raise DecodeError ``bad_utf8``."""
    try:
        return payload.decode().strip()
    except UnicodeDecodeError as exc:
        raise DecodeError("bad_utf8", str(exc)) from exc


def _number(message: RawMessage) -> float | int | None:
    text = _text(message)
    if is_missing(text):
        return None
    found = number(text)
    if found is None:
        raise DecodeError("bad_number", repr(text[:40]))
    return found
