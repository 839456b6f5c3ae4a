r"""The configuration language of nats-server: tables in, text out.

Every string is written in double quotes with its escapes (server/conf/lex.go: ``\\``, ``\"``,
``\n``, ``\r``, ``\t`` and ``\xNN``), so that no setting can end its string and add a line of its
own, and none is taken for a ``$VARIABLE``, a number or an include.
"""

import re
from collections.abc import Mapping, Sequence

Value = str | int | bool | Sequence["Value"] | Mapping[str, "Value"]
Table = Mapping[str, Value]

_KEY = re.compile(r"[A-Za-z_]+")
_ESCAPED = {0x22: '\\"', 0x5C: "\\\\"}


def quote(text: str) -> str:
    r"""Return ``text`` as a quoted string; what is not printable ASCII becomes ``\xNN``."""
    raw = text.encode("utf-8", "surrogateescape")  # paths may hold bytes that are not UTF-8
    return '"' + "".join(_character(byte) for byte in raw) + '"'


def encode(table: Table) -> str:
    """Return a configuration file.

    Args:
        table: Keys are names known to nats-server (letters and ``_``), never settings.

    Raises:
        ValueError: A key is no such name.
    """
    return "".join(f"{_key(key)}: {_value(value, 1)}\n" for key, value in table.items())


def _character(byte: int) -> str:
    if byte in _ESCAPED:
        return _ESCAPED[byte]
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"


def _key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a name of the configuration: {key!r}")
    return key


def _value(value: Value, depth: int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    indent, end = "  " * depth, "  " * (depth - 1)
    if isinstance(value, Mapping):
        lines = (f"{indent}{_key(k)}: {_value(v, depth + 1)}\n" for k, v in value.items())
        return "{\n" + "".join(lines) + end + "}"
    return "[\n" + "".join(f"{indent}{_value(v, depth + 1)}\n" for v in value) + end + "]"
