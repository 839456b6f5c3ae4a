"""What can still be read of a damaged store, brought into a new one.

DuckDB keeps a checksum for each block, so a table is read portion by portion, and a portion that
cannot be read is left out. What plugins learned and how far they are lies in small tables, the
readings in many blocks: mostly it is some of these that are gone.
"""

import logging
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from gateway.errors import StoreError
from gateway.features.migration import read_stamp
from gateway.features.schema import OLDEST_READER, TABLES, VERSION

log = logging.getLogger(__name__)

_GROUP = 122_880  # rows that DuckDB keeps together
_MOST_GROUPS = 100  # of the newest readings: 12 million, some ten seconds
_BY_THEMSELVES = (
    "device", "watermark", "plugin_state", "acknowledged", "outcome", "dead_letter", "clock",
)  # fmt: skip
_OF_SERIES = ("text_reading", "reading")
"""Their rows name a series by its number: without all series they say nothing. Waveforms stay in
the file that was set aside: they are large."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came over.

    Attributes:
        rows: By table.
        lost: Rows that could not be read, by table; those of readings beyond the newest too.
        error: Why nothing could be read; "" if something could.
    """

    rows: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    error: str = ""


def salvage(old: Path, new: Path) -> Salvaged:
    """Bring what can be read of ``old`` into a store at ``new``, where there is none yet.

    It is there whole or not at all. Where nothing can be read, none is made.
    """
    part = new.with_name(new.name + ".part")
    part.unlink(missing_ok=True)
    found = Salvaged()
    try:
        stamp = read_stamp(old)
        if stamp is None or stamp.version != VERSION:
            return Salvaged(error="of another version")
        with closing(duckdb.connect(str(part), config={"threads": 1})) as connection:
            connection.execute("SET memory_limit = '512MB'; SET TimeZone = 'UTC'")
            connection.execute(TABLES)
            connection.execute("INSERT INTO meta VALUES (?, ?)", [VERSION, OLDEST_READER])
            quoted = str(old).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS old (READ_ONLY)")
            _copy_all(connection, found)
            connection.execute("DETACH old")
        part.replace(new)
    except (duckdb.Error, StoreError, OSError) as exc:
        log.warning("store: nothing can be read of %s: %s", old, exc)
        for file in (part, part.with_name(part.name + ".wal")):
            with suppress(OSError):
                file.unlink(missing_ok=True)
        return Salvaged(error=str(exc).splitlines()[0])
    return found


def _copy_all(connection: duckdb.DuckDBPyConnection, found: Salvaged) -> None:
    for table in _BY_THEMSELVES:
        _copy(connection, table, found)
    _copy(connection, "series", found)
    if "series" in found.lost:
        connection.execute("DELETE FROM series")
        found.rows["series"] = 0
        return
    for table in _OF_SERIES:
        _copy(connection, table, found)


def _copy(connection: duckdb.DuckDBPyConnection, table: str, found: Salvaged) -> None:
    """Copy a table in portions, in the order of its rows; the newest ones of very many."""
    try:
        last = connection.execute(f"SELECT max(rowid) FROM old.{table}").fetchone()  # noqa: S608 - our own names
    except duckdb.Error as exc:
        log.warning("store: %s: %s", table, exc)
        found.lost[table] = 1
        return
    rows = 0 if last is None or last[0] is None else int(last[0]) + 1
    groups = range(0, rows, _GROUP)
    left_out = len(groups[:-_MOST_GROUPS]) * _GROUP
    if left_out:
        found.lost[table] = left_out
    found.rows[table] = 0
    for begin in groups[-_MOST_GROUPS:]:
        end = min(begin + _GROUP, rows)
        try:
            copied = connection.execute(
                f"INSERT INTO {table} BY NAME SELECT * FROM old.{table}"  # noqa: S608 - our own names
                " WHERE rowid >= ? AND rowid < ?",
                [begin, end],
            ).fetchone()
            found.rows[table] += copied[0] if copied else 0
        except duckdb.Error as exc:
            log.warning("store: %s, rows %d to %d: %s", table, begin, end, exc)
            found.lost[table] = found.lost.get(table, 0) + end - begin
