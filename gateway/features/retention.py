"""Keeps the store within its bounds of age, rows and bytes: the tightest one wins."""

from dataclasses import dataclass

import duckdb

from gateway.clock import BoxClock
from gateway.features.marks import pack_states, unpack_states

DEAD_LETTERS_KEPT = 10_000
OUTCOMES_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the store may keep.

    Attributes:
        max_age_s: Of a reading's own time.
        max_rows: Readings.
        max_bytes: Of the file.
    """

    max_age_s: float
    max_rows: int
    max_bytes: int


def cutoff_share(rows: int, used_bytes: int, bounds: Bounds) -> float:
    """Return the oldest share of the readings that must go, 0 to 1.

    A tenth more than the excess goes, so that not every sweep has to.
    """
    excess = max(
        1 - bounds.max_rows / rows if rows else 0.0,
        1 - bounds.max_bytes / used_bytes if used_bytes else 0.0,
    )
    return min(1.0, excess + 0.1) if excess > 0 else 0.0


def used_bytes(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how much of the file is in use."""
    used = connection.execute(
        "SELECT used_blocks * block_size FROM pragma_database_size()"
    ).fetchone()
    return int(used[0]) if used else 0


def sweep(
    connection: duckdb.DuckDBPyConnection, bounds: Bounds, newest_batch: int, clock: BoxClock
) -> int:
    """Delete what is out of bounds, and rows of appended tables that later ones replace.

    Args:
        connection: To the store.
        bounds: How much it may keep.
        newest_batch: Number of the batch that comes next.
        clock: Says what is older than the bound.

    Returns:
        How many readings were deleted.

    Raises:
        duckdb.Error: DuckDB refused.
    """
    deleted = _sweep_readings(connection, bounds, clock.before_ns(int(bounds.max_age_s * 1e9)))
    _sweep_appended(connection, newest_batch, clock)
    connection.execute("CHECKPOINT")
    return deleted


def _sweep_readings(connection: duckdb.DuckDBPyConnection, bounds: Bounds, before_ns: int) -> int:
    cutoff_us = before_ns // 1000
    used = used_bytes(connection)
    rows = connection.execute("SELECT count(*) FROM reading").fetchone()
    share = cutoff_share(rows[0] if rows else 0, used, bounds)
    if share:
        at = connection.execute(
            f"SELECT approx_quantile(epoch_us(time), {share:.6f}::FLOAT) FROM reading"  # noqa: S608 - a number
        ).fetchone()
        cutoff_us = max(cutoff_us, int(at[0]) if at and at[0] is not None else 0)
    deleted = 0
    for table in ("reading", "text_reading", "waveform"):
        gone = connection.execute(
            f"DELETE FROM {table} WHERE time < make_timestamp(?)",  # noqa: S608 - our own names
            [cutoff_us],
        ).fetchone()
        deleted += gone[0] if gone and table == "reading" else 0
    return deleted


def _sweep_appended(
    connection: duckdb.DuckDBPyConnection, newest_batch: int, clock: BoxClock
) -> None:
    connection.begin()
    for table, key, newest in (
        ("watermark", "plugin, source", "window_end"),
        ("device", "name", "last_seen"),
    ):
        connection.execute(
            f"DELETE FROM {table} WHERE rowid NOT IN"  # noqa: S608 - our own names
            f" (SELECT arg_max(rowid, ({newest}, rowid)) FROM {table} GROUP BY {key})"
        )
    _sweep_states(connection, clock.now_ns())
    connection.execute("DELETE FROM acknowledged WHERE batch < ?", [newest_batch - 20_000])
    for table, kept in (("dead_letter", DEAD_LETTERS_KEPT), ("outcome", OUTCOMES_KEPT)):
        connection.execute(
            f"DELETE FROM {table} WHERE rowid <"  # noqa: S608 - our own names
            f" (SELECT max(rowid) - {kept} FROM {table})"
        )
    connection.commit()


def _sweep_states(connection: duckdb.DuckDBPyConnection, now_ns: int) -> None:
    """Leave one row of states for each plugin: what each source's is now."""
    states: dict[str, dict[str, bytes | None]] = {}
    rows = connection.execute("SELECT plugin, packed FROM plugin_state ORDER BY rowid").fetchall()
    for plugin, packed in rows:
        states.setdefault(plugin, {}).update(unpack_states(packed))
    if len(rows) == len(states):
        return
    connection.execute("DELETE FROM plugin_state")
    for plugin, by_source in states.items():
        connection.execute(
            "INSERT INTO plugin_state (plugin, written, packed) VALUES (?, make_timestamp(?), ?)",
            [plugin, now_ns // 1000, pack_states(by_source)],
        )
