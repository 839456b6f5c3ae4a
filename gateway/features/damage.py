"""Which errors of DuckDB mean that its files are damaged, and how far its log can be read.

DuckDB checks every block and every entry of its log by a checksum. Where it does not complain it
may still have left out the end of a log, for it takes what cannot be whole for a write that a power
cut broke off; `in_log` finds out where that cannot have been the reason.
"""

import re
import struct
from pathlib import Path
from typing import NamedTuple

import duckdb

_DAMAGE = re.compile(
    r"corrupt|not a valid DuckDB|could not read enough bytes|checksum|replaying WAL"
    r"|Could not read .*Input/output error|Table with name \w+ does not exist"
    r"|Serialization Error|INTERNAL Error",
    re.IGNORECASE,
)
_ELSE = re.compile(
    r"No space left|Read-only file system|Permission denied|lock on file|Too many open files"
    r"|Out of Memory|invalidated",
    re.IGNORECASE,
)
"""What a text that looks like damage may be instead: the disk, the rights, another process."""

_LOG_BEGINS = bytes.fromhex("640062650002ffff")
"""Version 2 of DuckDB's log, as its releases up to 1.5 write it for files of their default format.
A log that begins otherwise DuckDB takes for empty."""
_HEAD = struct.Struct("<QQ")  # of each entry: size in bytes, checksum
_LARGEST_BYTES = 1 << 30
_BROKEN_AT = re.compile(r"entry at byte position (\d+)")


class Broken(NamedTuple):
    """Where a log cannot be read any further.

    Attributes:
        at: Entries up to this byte are whole.
        why: What is wrong there.
    """

    at: int
    why: str


def is_damage(error: BaseException) -> bool:
    """Say whether an error, or what caused it, means damaged files."""
    cause = error.__cause__ if error.__cause__ is not None else error
    text = str(cause)
    return isinstance(cause, duckdb.Error) and bool(_DAMAGE.search(text) and not _ELSE.search(text))


def is_fatal(error: duckdb.Error) -> bool:
    """Say whether DuckDB gives nothing more before the file is opened anew."""
    given_up = isinstance(error, duckdb.FatalException | duckdb.ConnectionException)
    return given_up or "invalidated" in str(error)


def is_of_log(error: BaseException) -> bool:
    """Say whether it was the log that could not be read."""
    return "replaying WAL" in str(error)


def in_log(wal: Path) -> Broken | None:
    """Return where DuckDB would silently leave out the rest of a log that is damaged.

    Args:
        wal: The log; it need not be there.

    Returns:
        None for a log that is whole, or ends as a power cut leaves it.
    """
    if not wal.exists() or wal.stat().st_size == 0:
        return None
    with wal.open("rb") as file:
        if file.read(len(_LOG_BEGINS)) != _LOG_BEGINS[: wal.stat().st_size]:
            return Broken(0, "the log does not begin as a log does")
        at, end = len(_LOG_BEGINS), wal.stat().st_size
        while at + _HEAD.size <= end:
            size, _ = _HEAD.unpack(file.read(_HEAD.size))
            if size > _LARGEST_BYTES:
                return Broken(at, f"an entry of the log claims to have {size:,} bytes")
            at += _HEAD.size + size
            file.seek(at)
    return None


def broken_at(error: BaseException, wal: Path) -> int:
    """Return up to which byte a log is whole that DuckDB could not replay; 0 if that is unknown."""
    found = _BROKEN_AT.search(str(error))
    if not found:
        return 0
    begins = int(found[1]) - _HEAD.size
    at = len(_LOG_BEGINS)
    with wal.open("rb") as file:
        while at < begins:
            file.seek(at)
            size, _ = _HEAD.unpack(file.read(_HEAD.size))
            at += _HEAD.size + size
    return at if at == begins else 0
