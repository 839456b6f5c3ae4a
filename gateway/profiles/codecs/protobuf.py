"""The wire format of Protocol Buffers: fields as numbers and raw values.

https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Iterator
from typing import Final

from gateway.errors import DecodeError

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_F32, _F64 = struct.Struct("<f"), struct.Struct("<d")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number and value, in their order.

    A varint and the fixed ones come as unsigned integers, what has a length as bytes.

    Raises:
        DecodeError: ``bad_protobuf``: it is cut off, or no such format.
    """
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key > 127:
            key, at = _varint(data, at - 1)
        wire = key & 7
        if not 0 < key >> 3 < 1 << 29:
            raise DecodeError("bad_protobuf", f"field {key >> 3}")
        if wire == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == LENGTH:
            size, at = _varint(data, at)
        elif wire in {FIXED32, FIXED64}:
            size = 4 if wire == FIXED32 else 8
        else:  # groups were given up before any protocol that is read here
            raise DecodeError("bad_protobuf", f"wire type {wire}")
        if size > end - at:
            raise DecodeError("bad_protobuf", "cut off")
        if wire == LENGTH:
            yield key >> 3, data[at : at + size]
        else:
            [number] = (_U32 if size == 4 else _U64).unpack_from(data, at)
            yield key >> 3, number
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise DecodeError("bad_protobuf", "a varint that does not end")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7


def varints(data: bytes) -> list[int]:
    """Return the integers of a packed repeated field."""
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def whole(value: int | bytes) -> int:
    """Return an integer; raise DecodeError ``bad_protobuf`` where there are bytes."""
    if isinstance(value, bytes):
        raise DecodeError("bad_protobuf", "bytes, should be an integer")
    return value


def raw(value: int | bytes) -> bytes:
    """Return bytes; raise DecodeError ``bad_protobuf`` where there is an integer."""
    if isinstance(value, int):
        raise DecodeError("bad_protobuf", "an integer, should be bytes")
    return value


def text(value: int | bytes) -> str:
    """Return a text; raise DecodeError ``bad_utf8`` where it is none."""
    try:
        return raw(value).decode()
    except UnicodeDecodeError as exc:
        raise DecodeError("bad_utf8", str(exc)) from exc


def float32(value: int | bytes) -> float:
    """Return a fixed field of 32 bits as a float."""
    found: float = _F32.unpack(_U32.pack(whole(value) & 0xFFFF_FFFF))[0]
    return found


def float64(value: int | bytes) -> float:
    """Return a fixed field of 64 bits as a float."""
    found: float = _F64.unpack(_U64.pack(whole(value)))[0]
    return found


def length_delimited(number: int, value: bytes) -> bytes:
    """Encode a field that has a length."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def integer(number: int, value: int) -> bytes:
    """Encode an unsigned integer field."""
    return varint(number << 3 | VARINT) + varint(value)


def varint(value: int) -> bytes:
    """Encode an unsigned integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
