"""The payload of Sparkplug B: protobuf to metrics, values by datatype.

Eclipse Sparkplug 3.0.0, section 6.4, and ``sparkplug_b.proto`` of eclipse/tahu.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gateway.errors import DecodeError
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES
from gateway.profiles.codecs.protobuf import (
    fields,
    float32,
    float64,
    integer,
    length_delimited,
    raw,
    text,
    varints,
    whole,
)
from gateway.profiles.words import checked_name

MAX_METRICS = 50_000
_MAX_TEMPLATE_DEPTH = 4
_COMPRESSED = "SPBV1.0_COMPRESSED"
_BOOLEAN = 11
_STRING_ARRAY, _BOOLEAN_ARRAY = 33, 32

# Bits and sign of the whole numbers; they travel as unsigned (section 6.4.16).
_BITS = {
    1: (8, True),
    2: (16, True),
    3: (32, True),
    4: (64, True),
    5: (8, False),
    6: (16, False),
    7: (32, False),
    8: (64, False),
    13: (64, False),  # DateTime
}

# Little endian, as the text says; the examples beside it print floats the other way round.
_ARRAYS = {22: "i1", 23: "<i2", 24: "<i4", 25: "<i8", 26: "u1", 27: "<u2", 28: "<u4", 29: "<u8",
           30: "<f4", 31: "<f8", 34: "<u8"}  # fmt: skip

_UNIT_KEYS = frozenset({"engunit", "engunits", "engineeringunits", "unit", "units", "uom"})


class Metric(NamedTuple):
    """A metric as it came.

    Attributes:
        name: "" where only the alias was sent.
        alias: Stands for the name until the next birth.
        time_ms: Its own time.
        datatype: Index of the specification's table; 0 where it was not sent.
        slot: The field that holds the value, 0 for null.
        value: What is in it.
        unit: From the properties.
        quality: From the properties: 0 bad, 192 good, 500 stale (section 6.4.11).
    """

    name: str
    alias: int | None
    time_ms: int | None
    datatype: int
    slot: int
    value: int | bytes
    unit: str | None
    quality: int | None


class Payload(NamedTuple):
    """A message's content."""

    time_ms: int | None
    seq: int | None
    metrics: list[Metric]


def parse_payload(data: bytes) -> Payload:
    """Return the content of a message; a compressed one is unpacked.

    Raises:
        DecodeError: ``bad_protobuf``, ``bad_utf8``, ``bad_metric``, ``too_large``,
            ``too_many_values``.
    """
    time_ms = seq = None
    metrics: list[Metric] = []
    uuid, body = "", b""
    for number, value in fields(data):
        if number == 1:
            time_ms = whole(value)
        elif number == 2:
            metrics.append(_metric(raw(value)))
            if len(metrics) > MAX_METRICS:
                raise DecodeError("too_many_values", f"more than {MAX_METRICS} metrics")
        elif number == 3:
            seq = whole(value)
        elif number == 4:
            uuid = text(value)
        elif number == 5:
            body = raw(value)
    if uuid == _COMPRESSED and body:
        inner = parse_payload(_unpacked(body))
        return inner._replace(
            seq=inner.seq if seq is None else seq,
            time_ms=inner.time_ms if time_ms is None else time_ms,
        )
    return Payload(time_ms, seq, metrics)


def _unpacked(body: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj(wbits=47)  # GZIP or DEFLATE, by its header
        found = unpacker.decompress(body, MAX_PAYLOAD_BYTES)
    except zlib.error as exc:
        raise DecodeError("bad_protobuf", f"compressed: {exc}") from exc
    if not unpacker.eof:
        raise DecodeError("too_large" if unpacker.unconsumed_tail else "bad_protobuf", "compressed")
    # One that is compressed in itself would unpack to ever more.
    if any(n == 4 and v == _COMPRESSED.encode() for n, v in fields(found)):
        raise DecodeError("too_deep", "compressed twice")
    return found


def _metric(data: bytes) -> Metric:
    name, alias, time_ms, datatype, null = "", None, None, 0, False
    slot, value = 0, 0  # type: int, int | bytes
    unit, quality = None, None
    for number, found in fields(data):
        if 10 <= number <= 18:
            slot, value = number, found
        elif number == 1:
            name = text(found)
        elif number == 2:
            alias = whole(found)
        elif number == 3:
            time_ms = whole(found)
        elif number == 4:
            datatype = whole(found)
        elif number == 7:
            null = bool(whole(found))
        elif number == 9:
            unit, quality = _properties(raw(found))
    if name:
        checked_name("metric", name)
    return Metric(name, alias, time_ms, datatype, 0 if null else slot, value, unit, quality)


def _properties(data: bytes) -> tuple[str | None, int | None]:
    """Return unit and quality of a PropertySet."""
    keys: list[str] = []
    values: list[bytes] = []
    for number, found in fields(data):
        if number == 1:
            keys.append(text(found))
        elif number == 2:
            values.append(raw(found))
    unit, quality = None, None
    for key, value in zip(keys, values, strict=False):
        word = key.replace(" ", "").replace("_", "").casefold()
        if word in _UNIT_KEYS:
            texts = [text(found) for number, found in fields(value) if number == 8]
            unit = texts[0][:32] if texts else None
        elif word == "quality":
            numbers = [whole(found) for number, found in fields(value) if number in {3, 4}]
            quality = numbers[0] if numbers else None
    return unit or None, quality


def values_of(metric: Metric, name: str, datatype: int) -> list[tuple[str, Any]]:
    """Return a metric's values by name: one, or those of a template's members.

    Args:
        metric: The metric.
        name: Its name, from the birth where it was not sent.
        datatype: Likewise.

    Raises:
        DecodeError: The value is not what the datatype says; ``unknown_type``: a whole number
            whose size and sign nobody told.
    """
    if metric.slot == 0:
        return []
    if metric.slot == 18:
        return _template(raw(metric.value), name, 1)
    return [(name, _value(metric.slot, metric.value, datatype))]


def _value(slot: int, value: int | bytes, datatype: int) -> Any:  # noqa: ANN401 - JSON
    if slot in {10, 11}:
        return _whole_number(whole(value), datatype)
    if slot == 16:
        return _of_bytes(raw(value), datatype)
    return _READERS[slot](value)


_READERS: dict[int, Callable[[int | bytes], Any]] = {
    12: float32,
    13: float64,
    14: lambda value: bool(whole(value)),
    15: text,
    17: lambda value: _data_set(raw(value)),
}


def _whole_number(value: int, datatype: int) -> int | bool:
    if datatype == _BOOLEAN:
        return bool(value)
    if datatype not in _BITS:
        raise DecodeError("unknown_type", f"a whole number of datatype {datatype}")
    bits, signed = _BITS[datatype]
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def _of_bytes(data: bytes, datatype: int) -> Any:  # noqa: ANN401 - JSON
    """Return an array (section 6.4.17); other bytes are hexadecimal digits."""
    if datatype in _ARRAYS:
        dtype = np.dtype(_ARRAYS[datatype])
        if len(data) % dtype.itemsize:
            raise DecodeError("bad_length", f"{len(data)} bytes of {dtype}")
        return np.frombuffer(data, dtype).tolist()
    if datatype == _BOOLEAN_ARRAY:
        return _booleans(data)
    if datatype == _STRING_ARRAY:
        return [text(part) for part in data.removesuffix(b"\0").split(b"\0")] if data else []
    return data.hex()


def _booleans(data: bytes) -> list[bool]:
    """Return bits, the first of each byte the highest, behind their number."""
    if len(data) < 4:
        raise DecodeError("bad_length", "an array of booleans without its length")
    [count] = struct.unpack_from("<I", data)
    bits = np.unpackbits(np.frombuffer(data, np.uint8, offset=4))
    if count > len(bits):
        raise DecodeError("bad_length", f"{count} booleans in {len(bits)} bits")
    found: list[bool] = bits[:count].astype(bool).tolist()
    return found


def _data_set(data: bytes) -> list[dict[str, Any]]:
    """Return the rows of a DataSet as objects (section 6.4.14)."""
    columns: list[str] = []
    types: list[int] = []
    rows: list[bytes] = []
    for number, found in fields(data):
        if number == 2:
            columns.append(text(found))
        elif number == 3:
            types += varints(found) if isinstance(found, bytes) else [found]
        elif number == 4:
            rows.append(raw(found))
    if len(types) != len(columns):
        raise DecodeError("bad_shape", f"{len(columns)} columns, {len(types)} types")
    if len(rows) * max(len(columns), 1) > MAX_METRICS:
        raise DecodeError("too_many_values", f"{len(rows)} rows")
    return [_row(row, columns, types) for row in rows]


def _row(data: bytes, columns: list[str], types: list[int]) -> dict[str, Any]:
    cells = [raw(found) for number, found in fields(data) if number == 1]
    if len(cells) != len(columns):
        raise DecodeError("bad_shape", f"{len(cells)} cells, {len(columns)} columns")
    return {
        column: _cell(cell, datatype)
        for column, cell, datatype in zip(columns, cells, types, strict=True)
    }


def _cell(data: bytes, datatype: int) -> Any:  # noqa: ANN401 - JSON
    for number, found in fields(data):
        if 1 <= number <= 6:  # the same order as in a metric, from 10 on
            return _value(number + 9, found, datatype)
    return None


def _template(data: bytes, name: str, depth: int) -> list[tuple[str, Any]]:
    """Return the members of a template's instance; a definition has no values (6.4.15)."""
    if depth > _MAX_TEMPLATE_DEPTH:
        raise DecodeError("too_deep", "templates in templates")
    members: list[Metric] = []
    for number, found in fields(data):
        if number == 2:
            members.append(_metric(raw(found)))
        elif number == 5 and whole(found):
            return []
    values: list[tuple[str, Any]] = []
    for member in members:
        path = checked_name("metric", f"{name}/{member.name}")
        if member.slot == 18:
            values += _template(raw(member.value), path, depth + 1)
        elif member.slot:
            values.append((path, _value(member.slot, member.value, member.datatype)))
    return values


def rebirth_command(time_ms: int) -> bytes:
    """Return the payload of an NCMD that asks a node for its births (section 6.4.22)."""
    metric = length_delimited(1, b"Node Control/Rebirth")
    metric += integer(3, time_ms) + integer(4, _BOOLEAN) + integer(14, 1)
    return integer(1, time_ms) + length_delimited(2, metric)
