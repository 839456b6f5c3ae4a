"""The tables of the feature store, and the columns in which rows are handed to DuckDB.

Text columns are NumPy ``<U`` arrays, never ``object``: for objects DuckDB looks at every value on
its own, which takes 100 ms for 500 rows instead of 1.5 ms.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VERSION = 3
"""Of the tables below. Whoever changes them adds a `Step` that brings older stores there."""

OLDEST_READER = 1
"""The oldest version whose code can use a store of this one: columns and tables that are added do
not raise it, for inserts name their columns; see docs/decisions/0009-store-versions.md."""

Columns = Mapping[str, NDArray[Any]]

TABLES = """
CREATE TABLE meta (version INTEGER, oldest_reader INTEGER);
CREATE TABLE series (
  id INTEGER, device TEXT, metric TEXT, unit TEXT, profile TEXT, source TEXT, kind TEXT);
CREATE TABLE device (
  name TEXT, profile TEXT, source TEXT, first_seen TIMESTAMP, last_seen TIMESTAMP, messages BIGINT);
CREATE TABLE reading (time TIMESTAMP, series INTEGER, value DOUBLE, era INTEGER);
CREATE TABLE text_reading (time TIMESTAMP, series INTEGER, value TEXT, era INTEGER);
CREATE TABLE waveform (
  time TIMESTAMP, series INTEGER, rate_hz DOUBLE, samples FLOAT[], era INTEGER);
CREATE TABLE watermark (
  plugin TEXT, source TEXT, window_end TIMESTAMP, label TEXT, reported TIMESTAMP);
CREATE TABLE plugin_state (plugin TEXT, written TIMESTAMP, packed BLOB);
CREATE TABLE outcome (
  id TEXT, time TIMESTAMP, source TEXT, plugin TEXT, window_end TIMESTAMP, label TEXT,
  score DOUBLE, packet TEXT, received TIMESTAMP);
CREATE TABLE dead_letter (
  time TIMESTAMP, topic TEXT, reason TEXT, detail TEXT, profile TEXT, bytes BIGINT, sample TEXT);
CREATE TABLE acknowledged (batch BIGINT, digest BIGINT);
CREATE TABLE clock (
  era INTEGER, boot TEXT, offset_ns BIGINT, standing TEXT, began_ns BIGINT, lag_ns BIGINT,
  lag_from_ns BIGINT, seen_ns BIGINT);
"""
"""``era``: 0, or the clock's era of doubt in which the box itself stamped it (`gateway.clock`).
``clock`` has one row: the era that it is in, and the newest time that the box is known to have had.
"""

SWITCH = "switch"
"""The kind of a series that holds 1 for true and 0 for false."""

VIEWS = f"""
CREATE OR REPLACE VIEW readings AS
  SELECT time, source, device, metric, value,
    CASE WHEN kind = '{SWITCH}' AND value IN (0, 1) THEN CAST(value = 1 AS TEXT) END AS text,
    unit, profile
  FROM reading JOIN series ON reading.series = series.id
  UNION ALL
  SELECT time, source, device, metric, NULL, text_reading.value, unit, profile
  FROM text_reading JOIN series ON text_reading.series = series.id;
"""  # noqa: S608 - our own names
"""What is made anew at each start: another version may have made it in its own way."""


class Step(NamedTuple):
    """How a store gets from one version to the next.

    Attributes:
        to: The version.
        oldest_reader: The oldest version whose code can use a store of that one.
        sql: Statements; run in one transaction with those of the other steps.
    """

    to: int
    oldest_reader: int
    sql: str


STEPS = (
    Step(
        2,
        1,
        """
        ALTER TABLE series ADD COLUMN IF NOT EXISTS kind TEXT;
        ALTER TABLE meta ADD COLUMN IF NOT EXISTS oldest_reader INTEGER;
        """,
    ),
    Step(
        3,
        1,
        """
        ALTER TABLE reading ADD COLUMN IF NOT EXISTS era INTEGER;
        ALTER TABLE text_reading ADD COLUMN IF NOT EXISTS era INTEGER;
        ALTER TABLE waveform ADD COLUMN IF NOT EXISTS era INTEGER;
        CREATE TABLE IF NOT EXISTS clock (
          era INTEGER, boot TEXT, offset_ns BIGINT, standing TEXT, began_ns BIGINT, lag_ns BIGINT,
          lag_from_ns BIGINT, seen_ns BIGINT);
        """,
    ),
)
"""All of them, in their order."""


def text(values: list[str]) -> NDArray[np.str_]:
    """Return a text column. A trailing NUL would be lost in it; names never hold one."""
    return np.array(values, dtype=np.str_) if values else np.empty(0, dtype="<U1")


def times(times_ns: NDArray[np.int64] | list[int]) -> NDArray[np.datetime64]:
    """Return Unix nanoseconds as a TIMESTAMP column (microseconds, UTC)."""
    return (np.asarray(times_ns, dtype=np.int64) // 1000).astype("datetime64[us]")
