"""JSON (RFC 8259) by orjson, which refuses NaN, Infinity, lone surrogates and invalid UTF-8."""

from typing import Any, Literal

import orjson

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.plain import utf8

_loads = orjson.loads


class JsonOptions(Options):
    """``json``: objects, arrays, numbers, texts, booleans and null.

    Attributes:
        or_text: What is not JSON is a text, for topics on which a firmware sends both.
        empty: An empty payload is null (a retained message that was deleted), not refused.
    """

    name: Literal["json"] = "json"
    or_text: bool = False
    empty: bool = False

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_json``, ``too_deep`` (orjson stops at 1,024 levels),
        ``empty_payload`` and ``too_large``; with ``or_text`` ``bad_utf8`` instead of ``bad_json``.
        """
        codec = _json_or_text if self.or_text else _json
        return _null_when_empty(codec) if self.empty else codec


def _null_when_empty(codec: Codec) -> Codec:
    return lambda message: codec(message) if message.payload else None


def _json(message: RawMessage) -> Any:  # noqa: ANN401 - JSON
    payload = message.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    try:
        return _loads(payload)
    except orjson.JSONDecodeError as exc:
        if not payload:
            raise DecodeError("empty_payload") from exc
        reason = "too_deep" if "depth" in exc.msg else "bad_json"
        raise DecodeError(reason, str(exc)) from exc


def _json_or_text(message: RawMessage) -> Any:  # noqa: ANN401 - JSON
    try:
        return _json(message)
    except DecodeError as exc:
        if exc.reason != "bad_json":
            raise
        return utf8(message.payload)
