"""MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) by msgpack."""

from typing import Any, Literal

import msgpack

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.tree import json_tree


class MsgpackOptions(Options):
    """``msgpack``: as ``json``, from MessagePack.

    Keys become texts, ``bin`` hexadecimal digits, timestamps ISO 8601 texts; other extensions the
    hexadecimal digits of their content.
    """

    name: Literal["msgpack"] = "msgpack"

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_msgpack``, ``bad_utf8``, ``too_deep``, ``too_many_values``,
        ``bad_key``, ``empty_payload`` and ``too_large``.
        """
        return _msgpack


def _msgpack(message: RawMessage) -> Any:  # noqa: ANN401 - JSON
    payload = message.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    if not payload:
        raise DecodeError("empty_payload")
    try:
        # Its limits on lengths are the payload's own length, so a header cannot claim gigabytes.
        value = msgpack.unpackb(payload, raw=False, strict_map_key=False)
    except UnicodeDecodeError as exc:
        raise DecodeError("bad_utf8", str(exc)) from exc
    except msgpack.StackError as exc:
        raise DecodeError("too_deep") from exc
    except (ValueError, TypeError, msgpack.UnpackException) as exc:
        raise DecodeError("bad_msgpack", f"{type(exc).__name__}: {exc}"[:200]) from exc
    return json_tree(value, _leaf)


def _leaf(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, msgpack.ExtType):
        return value.data
    if isinstance(value, msgpack.Timestamp):
        try:
            moment = value.to_datetime()
        except (ArithmeticError, ValueError) as exc:
            raise DecodeError("bad_msgpack", "a timestamp beyond all years") from exc
        text = moment.strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{value.nanoseconds:09d}Z" if value.nanoseconds else f"{text}Z"
    return None
