"""What the store reads back when the gateway starts.

Tables of things that change (devices, watermarks) are only appended to while the gateway runs, as
an update of 500 rows costs 100 ms and an insert 2 ms; the last row counts. `retention` drops the
others.
"""

from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.clock import Era, Standing
from gateway.features.columns import Batch
from gateway.features.marks import Mark, unpack_states
from gateway.features.recent import Recent
from gateway.features.schema import SWITCH
from gateway.features.series import Device, Register

_PORTIONS = 20
"""Of the newest readings: at once, those of ten minutes at 1,000 messages/s take 250 MB."""


def devices(connection: duckdb.DuckDBPyConnection, register: Register) -> None:
    """Fill the register with the series and devices known."""
    new_series(connection, register)
    texts(connection, register)
    for name, profile, source, first_us, last_us, messages in connection.execute(
        "SELECT name, profile, source, epoch_us(first_seen), epoch_us(last_seen), messages"
        " FROM device ORDER BY last_seen"
    ).fetchall():
        register.know(Device(name, profile, source, first_us * 1000, last_us * 1000, messages))


def new_series(connection: duckdb.DuckDBPyConnection, register: Register) -> None:
    """Add the series that the store has and the register does not."""
    for device, metric, unit, profile, kind in connection.execute(
        "SELECT device, metric, unit, profile, kind FROM series WHERE id >= ? ORDER BY id",
        [len(register.series)],
    ).fetchall():
        register.restore(device, metric, unit or None, profile, switch=kind == SWITCH)


def texts(connection: duckdb.DuckDBPyConnection, register: Register) -> None:
    """Note each series' newest text."""
    for number, time_us, value in connection.execute(
        "SELECT series, epoch_us(max(time)), arg_max(value, time) FROM text_reading GROUP BY series"
    ).fetchall():
        register.note_text(number, time_us * 1000, value)


def era(connection: duckdb.DuckDBPyConnection) -> tuple[Era | None, int]:
    """Return the clock's era, and the newest time (ns) that the box is known to have had; 0: none.

    What messages arrived says that time too, and an older version writes nothing else.
    """
    heard = connection.execute("SELECT epoch_us(max(last_seen)) FROM device").fetchone()
    heard_ns = heard[0] * 1000 if heard and heard[0] else 0
    found = connection.execute(
        "SELECT era, boot, offset_ns, standing, began_ns, lag_ns, lag_from_ns, seen_ns FROM clock"
    ).fetchone()
    if found is None:
        return None, heard_ns
    number, boot, offset_ns, standing, began_ns, lag_ns, lag_from_ns, seen_ns = found
    kept = Era(number, boot, offset_ns, Standing(standing), began_ns, lag_ns, lag_from_ns)
    return kept, max(seen_ns, heard_ns)


def marks(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Mark]]:
    """Return the newest mark of each plugin and source."""
    states: dict[tuple[str, str], bytes | None] = {}
    for plugin, packed in connection.execute(
        "SELECT plugin, packed FROM plugin_state ORDER BY rowid"
    ).fetchall():
        states.update({(plugin, s): state for s, state in unpack_states(packed).items()})
    found: dict[str, dict[str, Mark]] = {}
    for plugin, source, end_us, label, reported_us in connection.execute(
        "SELECT plugin, source, epoch_us(window_end), label, epoch_us(reported)"
        " FROM watermark ORDER BY window_end"
    ).fetchall():
        found.setdefault(plugin, {})[source] = Mark(
            end_us * 1000, label, reported_us * 1000, states.get((plugin, source))
        )
    return found


def digests(connection: duckdb.DuckDBPyConnection, most: int) -> tuple[dict[int, int], int]:
    """Return the digests of the messages acknowledged last, and the next batch's number."""
    newest = connection.execute(
        "SELECT digest, batch FROM acknowledged ORDER BY batch DESC LIMIT ?", [most]
    ).fetchall()
    found: dict[int, int] = dict(reversed(newest))
    return found, max(found.values(), default=0) + 1


def recent(connection: duckdb.DuckDBPyConnection, rows: Recent) -> None:
    """Fill the rings with the newest readings of each series."""
    newest = connection.execute("SELECT epoch_us(max(time)) FROM reading").fetchone()
    if newest is None or newest[0] is None:
        return
    since_us = newest[0] - rows.keep_ns // 1000
    edges = np.linspace(since_us, newest[0], _PORTIONS + 1, dtype=np.int64).tolist()
    for after_us, until_us in pairwise(edges):
        found = connection.execute(
            "SELECT epoch_us(time) AS t, series, value FROM reading"
            " WHERE time > make_timestamp(?) AND time <= make_timestamp(?) ORDER BY time",
            [after_us, until_us],
        ).fetchnumpy()
        rows.append(_batch(found))
    known = connection.execute("SELECT max(series) FROM reading").fetchone()
    if known is not None and known[0] is not None:
        rows.incomplete_before(known[0] + 1, since_us * 1000)


def rows_after(
    connection: duckdb.DuckDBPyConnection, row: int, since_ns: int, limit: int
) -> tuple[Batch, int]:
    """Return stored rows in the order in which they came.

    Args:
        connection: To the store.
        row: Rows behind this ``rowid``.
        since_ns: Rows of this time or later.
        limit: At most so many.

    Returns:
        The rows, and the ``rowid`` of the last one; ``row`` if there is none.
    """
    found = connection.execute(
        "SELECT epoch_us(time) AS t, series, value, rowid AS row FROM reading"
        " WHERE rowid > ? AND time >= make_timestamp(?) ORDER BY rowid LIMIT ?",
        [row, since_ns // 1000, limit],
    ).fetchnumpy()
    return _batch(found), int(found["row"][-1]) if len(found["row"]) else row


def _batch(found: dict[str, NDArray[Any]]) -> Batch:
    time_ns = found["t"].astype(np.int64) * 1000
    size = len(time_ns)
    return Batch(
        found["series"].astype(np.int32),
        time_ns,
        found["value"].astype(np.float64),
        np.zeros(size, dtype=np.int32),
        np.ones(size, dtype=np.bool_),
        time_ns,
        [],
        [],
    )
