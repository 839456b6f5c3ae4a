"""Samples as text: a line for each moment, a column for each axis."""

import re
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from pydantic import Field

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.plain import utf8

MAX_COLUMNS = 64
_NUMBER = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d{1,3})?")
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " "}


class ColumnsOptions(Options):
    """``columns``: ``p.a`` is a list with the samples of each column (float32).

    ``p.n`` is how many samples each has; ``p.names`` are the words of a first line that holds no
    number, else an empty array.

    Attributes:
        separator: What stands between columns; ``auto``: a semicolon or tab where the text has
            one, else a comma, else spaces.
        decimal: ``comma``: 0,5 is a half. ``auto``: it is where the separator is no comma.
        scale: What a sample is multiplied by.
    """

    name: Literal["columns"] = "columns"
    separator: Literal["auto", "comma", "semicolon", "tab", "space"] = "auto"
    decimal: Literal["auto", "point", "comma"] = "auto"
    scale: float = Field(default=1.0, allow_inf_nan=False)

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_number``, ``bad_length`` (lines of different lengths),
        ``bad_samples``, ``bad_utf8``, ``empty_payload`` and ``too_large``.
        """
        return lambda message: _columns(message, self)


def _columns(message: RawMessage, options: ColumnsOptions) -> dict[str, Any]:
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(message.payload)} bytes")
    text = utf8(message.payload)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DecodeError("empty_payload")
    separator = _separator(text, options)
    rows = [_cells(line, separator) for line in lines]
    names = [] if any(map(_is_number, rows[0])) else rows.pop(0)
    if not rows:
        raise DecodeError("bad_number", repr(lines[0][:40]))
    if any(len(a) != len(b) for a, b in pairwise(rows)) or len(rows[0]) > MAX_COLUMNS:
        raise DecodeError("bad_length", "lines of different lengths")
    comma = options.decimal == "comma" or (options.decimal == "auto" and separator != ",")
    values = [[_number(cell, comma=comma) for cell in row] for row in rows]
    with np.errstate(over="ignore"):
        samples = np.asarray(values, np.float32).reshape(len(rows), -1) * np.float32(options.scale)
    if not np.isfinite(samples).all():
        raise DecodeError("bad_samples", "not finite")
    return {"a": list(np.ascontiguousarray(samples.T)), "n": len(rows), "names": names}


def _separator(text: str, options: ColumnsOptions) -> str:
    if options.separator != "auto":
        return _SEPARATORS[options.separator]
    found = next((sign for sign in ";\t," if sign in text), None)
    return found or (" " if " " in text else ",")


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    return [cell.strip() for cell in line.split(separator)]


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell.replace(",", ".")))


def _number(cell: str, *, comma: bool) -> float:
    if comma:
        cell = cell.replace(",", ".")
    if not _NUMBER.fullmatch(cell):
        raise DecodeError("bad_number", repr(cell[:40]))
    return float(cell)
