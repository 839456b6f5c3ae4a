"""Times that the box stamped while its clock was in doubt, moved when it is set right.

What a device's own clock said stays. Only what would lie in the future after a step back is brought
back whoever said it: windows end at readings, so until such a time is caught up with, its source
would have no more of them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import duckdb

from gateway.features.marks import Mark
from gateway.features.schema import text, times
from gateway.features.series import Device

Marks = dict[str, dict[str, Mark]]

_AHEAD_NS = 660 * 10**9  # a device's own clock may be ten minutes ahead of its message's arrival
_TABLES = ("reading", "text_reading", "waveform")


@dataclass(frozen=True, slots=True)
class Move:
    """How far the clock moves, and what moves with it.

    Attributes:
        step_ns: How far, a multiple of 1,000.
        mark: What rows of the era of doubt are marked with; 0: the clock was sure.
        began_ns: When that era began, by the clock as it was.
        now_ns: What time it is, by the clock as it will be.
        then: What rows are marked with from now on; what was in doubt and still is keeps its mark.
    """

    step_ns: int
    mark: int
    began_ns: int
    now_ns: int
    then: int = 0


def move_rows(connection: duckdb.DuckDBPyConnection, move: Move) -> int:
    """Move readings, texts and waveforms; return how many.

    What is brought back although it was not in doubt now is: it goes along if the step is undone.
    """
    rows, step_us, now_us = 0, move.step_ns // 1000, move.now_ns // 1000
    latest_us = (move.now_ns + _AHEAD_NS) // 1000
    for table in _TABLES:
        if move.mark:
            rows += _changed(
                connection,
                f"UPDATE {table} SET time = time + to_microseconds(?) WHERE era = ?",  # noqa: S608 - our own names
                [step_us, move.mark],
            )
        if move.step_ns < 0:
            rows += _changed(
                connection,
                f"UPDATE {table} SET era = $then, time = CASE WHEN epoch_us(time) + $step > $latest"  # noqa: S608 - our own names
                " THEN make_timestamp($now) ELSE time + to_microseconds($step) END"
                " WHERE time > make_timestamp($latest)",
                {"step": step_us, "now": now_us, "latest": latest_us, "then": move.then},
            )
    return rows


def _changed(
    connection: duckdb.DuckDBPyConnection, sql: str, values: list[int] | dict[str, int]
) -> int:
    found = connection.execute(sql, values).fetchone()
    return int(found[0]) if found else 0


def moved_marks(
    connection: duckdb.DuckDBPyConnection, move: Move, marks: Marks, sources: Collection[str]
) -> Marks:
    """Return where plugins stand once the rows are moved; to be asked before they are.

    A window ends at a reading, so its mark moves if that reading does. Marks of cameras, of what
    the gateway itself has told, and of where a plugin came in are the box's own stamps.

    Args:
        connection: To the store.
        move: How far.
        marks: By plugin and source.
        sources: The sources that have readings.
    """
    stamped = _stamped_ends(connection, move.mark, marks) if move.mark else set()
    devices = frozenset(sources)

    def is_ours(source: str, mark: Mark) -> bool:
        if source in devices:
            return (source, mark.end_ns) in stamped
        return bool(move.mark) and mark.end_ns >= move.began_ns

    return {
        plugin: {
            source: _moved(mark, move, ours=is_ours(source, mark), device=source in devices)
            for source, mark in by_source.items()
        }
        for plugin, by_source in marks.items()
    }


def _moved(mark: Mark, move: Move, *, ours: bool, device: bool) -> Mark:
    end_ns = mark.end_ns + (move.step_ns if ours else 0)
    latest_ns = move.now_ns + (_AHEAD_NS if device else 0)
    if end_ns > latest_ns:
        moved_ns = end_ns + (0 if ours else move.step_ns)
        end_ns = moved_ns if moved_ns <= latest_ns else move.now_ns
    by_ns = end_ns - mark.end_ns
    return replace(
        mark, end_ns=end_ns, reported_ns=mark.reported_ns and max(1, mark.reported_ns + by_ns)
    )


def _stamped_ends(
    connection: duckdb.DuckDBPyConnection, mark: int, marks: Mapping[str, Mapping[str, Mark]]
) -> set[tuple[str, int]]:
    """Return the marks (source, end in ns) that stand at readings which the box stamped."""
    ends = sorted({(s, m.end_ns) for by_source in marks.values() for s, m in by_source.items()})
    columns = {"source": text([s for s, _ in ends]), "end": times([end_ns for _, end_ns in ends])}
    connection.register("ends_", columns)
    found = connection.execute(
        'SELECT DISTINCT ends_.source, epoch_us("end") FROM reading'
        ' JOIN series ON series = id JOIN ends_ ON ends_.source = series.source AND time = "end"'
        " WHERE era = ?",
        [mark],
    ).fetchall()
    connection.unregister("ends_")
    return {(source, end_us * 1000) for source, end_us in found}


def moved_devices(move: Move, devices: Iterable[Device]) -> list[Device]:
    """Return the devices with when they were heard, which the box always stamps itself."""

    def moved(time_ns: int) -> int:
        if move.mark and time_ns >= move.began_ns:
            time_ns += move.step_ns
        return time_ns if move.step_ns > 0 else min(time_ns, move.now_ns)

    return [
        replace(d, first_seen_ns=moved(d.first_seen_ns), last_seen_ns=moved(d.last_seen_ns))
        for d in devices
    ]
