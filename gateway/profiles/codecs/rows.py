"""Comma-separated values (RFC 4180): lines of texts."""

import csv
from typing import Literal

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options
from gateway.profiles.codecs.plain import utf8

MAX_CELLS = 100_000
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}


class CsvOptions(Options):
    """``csv``: an array of lines, each an array of texts; empty lines are left out.

    Attributes:
        separator: What stands between cells.
    """

    name: Literal["csv"] = "csv"
    separator: Literal["comma", "semicolon", "tab"] = "comma"

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_csv`` (quotes that do not close), ``bad_utf8``,
        ``empty_payload``, ``too_many_values`` and ``too_large``.
        """
        separator = _SEPARATORS[self.separator]

        def decode(message: RawMessage) -> list[list[str]]:
            return _rows(message.payload, separator)

        return decode


def _rows(payload: bytes, separator: str) -> list[list[str]]:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    lines = utf8(payload).splitlines(keepends=True)
    left = MAX_CELLS
    found: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=separator, strict=True):
            left -= len(row)
            if left < 0:
                raise DecodeError("too_many_values", f"more than {MAX_CELLS} cells")
            if row:
                found.append(row)
    except csv.Error as exc:
        raise DecodeError("bad_csv", str(exc)) from exc
    if not found:
        raise DecodeError("empty_payload")
    return found
