"""The feature store: DuckDB, one file, one transaction for each micro-batch.

All methods but `recent` lookups run on one thread, the store's; the caller sees to it.
"""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.clock import STEP_NS, BoxClock, Era
from gateway.errors import StoreError
from gateway.features import correction, damage, migration, recovery
from gateway.features.columns import Batch, Item, Refused, digest, repeats_within, to_columns
from gateway.features.marks import Mark, pack_states
from gateway.features.recent import Recent, Rows
from gateway.features.retention import Bounds, sweep, used_bytes
from gateway.features.rows import ReadingInserter, StoredRows
from gateway.features.schema import OLDEST_READER, TABLES, VERSION, VIEWS, Columns
from gateway.features.series import CAPACITY, Capacity, Register
from gateway.features.tables import (
    DeadLetter,
    SentOutcome,
    Stamps,
    clock_columns,
    dead_letter_columns,
    device_columns,
    outcome_columns,
    portions,
    series_columns,
    text_columns,
    watermark_columns,
    waveform_columns,
)
from gateway.model import Waveform

log = logging.getLogger(__name__)

_DIGESTED = 20_000
"""Messages at QoS >= 1 that are known again when redelivered; above any receive maximum in use."""

_MEMORY = "128MB"
"""Every block that is written to the file stays in DuckDB's memory until there are so many: within
hours at 1,000 messages/s. What a query needs beyond that goes to disk."""

_INSERT_SAMPLES = 500_000
"""Samples of waveforms in one statement: each takes some 40 bytes while they are grouped."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What a transaction stored.

    Attributes:
        batch: The rows that are new.
        duplicate: For each message whether all that it says was there already.
        duplicate_readings: How many readings were.
        readings: How many new ones there are, with texts.
        refused: What there was no room for, by the index of the message.
    """

    batch: Batch
    duplicate: list[bool]
    duplicate_readings: int
    readings: int
    refused: dict[int, Refused] = field(default_factory=dict)


class DuckStore:
    """Keeps readings, waveforms, watermarks, outcomes and dead letters.

    Args:
        path: The file; made if it is not there.
        assets: Device name to asset name.
        keep_ns: How much of each series is kept at hand for windows.
        clock: The box's.
        capacity: How many devices and series there may be.

    Attributes:
        given_up: DuckDB answers nothing more until `reopen`.
        damaged: What shows that the file is damaged; "" while nothing does.
    """

    def __init__(
        self,
        path: Path,
        assets: dict[str, str],
        keep_ns: int,
        clock: BoxClock | None = None,
        capacity: Capacity = CAPACITY,
    ) -> None:
        self.path = path
        self._clock = clock or BoxClock()
        self.register = Register(assets, capacity)
        self.recent = Recent(keep_ns)
        self.marks: dict[str, dict[str, Mark]] = {}
        self._digests: OrderedDict[int, int] = OrderedDict()
        self._batch = 0
        self.given_up = False
        self.damaged = ""
        self._unsure = False  # whether the last batch was committed
        self._connection = self._open()
        self._readings = ReadingInserter(self._connection)

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            migration.prepare(self.path)
            connection = duckdb.connect(str(self.path), config={"threads": 1})
        except duckdb.Error as exc:
            raise StoreError(f"{self.path}: {exc}") from exc
        try:
            connection.execute(f"SET memory_limit = '{_MEMORY}'; SET TimeZone = 'UTC'")
            # SQL that a user or a plugin writes must not reach other files or the network.
            connection.execute("SET enable_external_access = false")
            if not connection.execute("SHOW TABLES").fetchall():
                connection.execute(TABLES)
                connection.execute("INSERT INTO meta VALUES (?, ?)", [VERSION, OLDEST_READER])
            connection.execute(VIEWS)
        except duckdb.Error as exc:
            connection.close()
            raise StoreError(f"{self.path}: {exc}") from exc
        return connection

    def recover(self) -> None:
        """Read back what the gateway knew when it stopped.

        Raises:
            StoreError: It cannot be read; the store is closed.
        """
        try:
            recovery.devices(self._connection, self.register)
            self.marks = recovery.marks(self._connection)
            digests, self._batch = recovery.digests(self._connection, _DIGESTED)
            self._digests = OrderedDict(digests)
            recovery.recent(self._connection, self.recent)
            self._clock.resume(*recovery.era(self._connection))
        except duckdb.Error as exc:
            self.close()
            raise StoreError(f"{self.path}: {exc}") from exc
        self.write_era(self._clock.era)

    def reopen(self) -> None:
        """Open the file again after DuckDB has given it up; what is known stays known.

        Whether the last transaction was committed is not known, so its rows are looked for.

        Raises:
            StoreError: It cannot be opened yet.
        """
        self.close()
        self._connection = self._open()
        recent = Recent(self.recent.keep_ns)
        try:
            recovery.new_series(self._connection, self.register)
            recovery.recent(self._connection, recent)
            self._readings = ReadingInserter(self._connection)
        except duckdb.Error as exc:
            self.close()
            raise self.failed(exc) from exc
        self.recent, self._unsure, self.given_up = recent, True, False

    def failed(self, error: duckdb.Error) -> StoreError:
        """Return what is raised for an error, and note what it says of the file."""
        self.given_up |= damage.is_fatal(error)
        if damage.is_damage(error):
            self.damaged = self.damaged or str(error)
        return StoreError(f"{self.path}: {error}")

    def write_era(self, era: Era) -> None:
        """Write the clock's era, and the time that it is in it now.

        Raises:
            StoreError: It was not written.
        """
        try:
            self._connection.begin()
            self._write_era(era)
            self._connection.commit()
        except duckdb.Error as exc:
            self._rollback()
            raise self.failed(exc) from exc

    def _write_era(self, era: Era) -> None:
        self._connection.execute("DELETE FROM clock")
        self._insert("clock", clock_columns(era, self._clock.now_in_ns(era)))

    def move(self, move: correction.Move, era: Era) -> int:
        """Move what the box stamped in an era of doubt, as its clock is moved; in one transaction.

        Args:
            move: How far, and what.
            era: The one that begins.

        Returns:
            How many rows of readings and waveforms were moved.

        Raises:
            StoreError: Nothing was.
        """
        connection, devices = self._connection, self.register.devices.values()
        try:
            kept, _ = recovery.era(connection)
            if kept and abs(kept.offset_ns - era.offset_ns) <= STEP_NS:
                # It was committed before, and DuckDB failed before it could say so.
                move = replace(move, step_ns=0, mark=0)
                self.marks = recovery.marks(connection)
            connection.begin()
            marks = correction.moved_marks(connection, move, self.marks, self.register.sources)
            rows = correction.move_rows(connection, move)
            moved = correction.moved_devices(move, devices)
            for table in ("watermark", "device"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            for plugin, by_source in marks.items():
                if by_source:
                    self._insert("watermark", watermark_columns(plugin, by_source))
            if moved:
                self._insert("device", device_columns(moved))
            self._write_era(era)
            connection.commit()
        except duckdb.Error as exc:
            self._rollback()
            raise self.failed(exc) from exc
        self.marks = marks
        self.register.devices = {device.name: device for device in moved}
        recovery.texts(connection, self.register)
        self.recent = Recent(self.recent.keep_ns)
        recovery.recent(connection, self.recent)
        return rows

    def rows_after(self, row: int, since_ns: int, limit: int) -> tuple[Batch, int]:
        """Return stored rows in the order in which they came; see `recovery.rows_after`."""
        return recovery.rows_after(self._connection, row, since_ns, limit)

    def last_row(self) -> int:
        """Return the ``rowid`` of the reading that came last; -1 in an empty store."""
        found = self._connection.execute("SELECT max(rowid) FROM reading").fetchone()
        return int(found[0]) if found and found[0] is not None else -1

    def close(self) -> None:
        """Write everything into the file and close it."""
        try:
            self._connection.close()
        except duckdb.Error as exc:
            log.warning("store: closing: %s", exc)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own to the same database, for another thread."""
        return self._connection.cursor()

    def append(self, items: Sequence[Item], dead: Sequence[DeadLetter] = ()) -> Appended:
        """Store a batch of messages in one transaction.

        Args:
            items: The messages and what they say.
            dead: Messages that could not be decoded.

        Returns:
            What was new; the caller appends it to `recent`. A redelivered message that was stored
            before, and a reading whose series, own time and value are there already, are not
            stored again.

        Raises:
            StoreError: Nothing was stored; the batch may be tried again as it is.
        """
        first_new = len(self.register.series)
        hashes = [digest(raw) if raw.qos else 0 for raw, _ in items]
        known = [
            raw.redelivered and self._digests.get(hashed, 0) > 0
            for (raw, _), hashed in zip(items, hashes, strict=True)
        ]
        fresh = [item for item, again in zip(items, known, strict=True) if not again]
        batch = to_columns(fresh, self.register)
        if self._unsure:  # it may be there, whosever times these are
            batch = replace(batch, own_time=np.ones_like(batch.own_time))
        stored = [h for h, again in zip(hashes, known, strict=True) if h and not again]
        try:
            keep = ~self._repeats(batch)
            new = batch.only(keep)
            self._write(new, dead, stored, self._stamps(fresh))
        except duckdb.Error as exc:
            self._rollback()
            self.register.forget_new(first_new)
            raise self.failed(exc) from exc
        self._unsure = False
        self.register.settle()
        for number, time_ns, value, _ in new.texts:
            self.register.note_text(number, time_ns, value)
        self._remember(stored)
        for raw, decoded in fresh:
            self.register.see(decoded, raw)
        return Appended(
            new,
            self._duplicates(known, fresh, batch, keep),
            int(np.count_nonzero(~keep)),
            len(new.series) + len(new.texts),
            self._refused(known, batch.refused),
        )

    def _stamps(self, fresh: Sequence[Item]) -> Stamps:
        mark = self._clock.era.mark
        return Stamps(mark, frozenset(raw.received_ns for raw, _ in fresh)) if mark else Stamps()

    @staticmethod
    def _refused(known: list[bool], refused: dict[int, Refused]) -> dict[int, Refused]:
        """Return by the index among all messages what was by the index among the fresh ones."""
        if not refused:
            return refused
        fresh = [index for index, again in enumerate(known) if not again]
        return {fresh[index]: each for index, each in refused.items()}

    @staticmethod
    def _duplicates(
        known: list[bool], fresh: list[Item], batch: Batch, keep: NDArray[np.bool_]
    ) -> list[bool]:
        """Say for each message whether nothing of it was new."""
        has = np.bincount(batch.message, minlength=len(fresh))
        new = np.bincount(batch.message[keep], minlength=len(fresh))
        more = {index for *_, index in batch.texts}
        nothing_new = iter(bool(has[i] and not new[i] and i not in more) for i in range(len(fresh)))
        return [again or next(nothing_new) for again in known]

    def _repeats(self, batch: Batch) -> NDArray[np.bool_]:
        """Say which rows are stored already: only an own time can be at or before the newest."""
        repeats = np.zeros(len(batch.series), dtype=np.bool_)
        if not len(batch.series):
            return repeats
        repeats |= repeats_within(batch)
        newest_ns = self.recent.newest_ns(batch.series)
        suspect = np.flatnonzero(batch.own_time & (batch.time_ns <= newest_ns))
        if len(suspect):
            rows = batch.only(np.isin(np.arange(len(batch.series)), suspect))
            found = self.recent.contains(rows)
            for i in np.flatnonzero(~found):
                if not self.recent.covers(int(rows.series[i]), int(rows.time_ns[i]) - 1):
                    at_ns = int(rows.time_ns[i])
                    _, values = self.rows(int(rows.series[i]), at_ns - 1000, at_ns)
                    found[i] = bool(np.any(values == rows.value[i]))
            repeats[suspect] |= found
        return repeats

    def _write(
        self, new: Batch, dead: Sequence[DeadLetter], digests: list[int], stamps: Stamps
    ) -> None:
        self._connection.begin()
        if self.register.new:
            self._insert("series", series_columns(self.register.new))
        for series in self.register.changed.values():
            self._connection.execute(
                "UPDATE series SET unit = ?, profile = ? WHERE id = ?",
                [series.unit, series.profile, series.number],
            )
        self._readings.insert(new, stamps.mark)
        if new.texts:
            self._insert("text_reading", text_columns(new, stamps))
        if new.waveforms:
            self._insert_waveforms(new.waveforms, stamps)
        if digests:
            batch = np.full(len(digests), self._batch, dtype=np.int64)
            self._insert("acknowledged", {"batch": batch, "digest": np.array(digests, np.int64)})
        if dead:
            self._insert("dead_letter", dead_letter_columns(dead))
        self._connection.commit()

    def _insert(self, table: str, columns: Columns) -> None:
        self._connection.register("columns_", dict(columns))
        self._connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM columns_")  # noqa: S608 - our own names
        self._connection.unregister("columns_")

    def _insert_waveforms(self, waveforms: list[tuple[int, Waveform]], stamps: Stamps) -> None:
        """Insert from columns: as a parameter a waveform takes 20 ms, a sample at a time."""
        for part in portions(waveforms, _INSERT_SAMPLES):
            self._connection.register("columns_", dict(waveform_columns(part, stamps)))
            self._connection.execute(
                "INSERT INTO waveform BY NAME"
                " SELECT time, series, rate_hz, list(value ORDER BY place) AS samples, era"
                " FROM columns_ GROUP BY wave, time, series, rate_hz, era ORDER BY wave"
            )
            self._connection.unregister("columns_")

    def _rollback(self) -> None:
        try:
            self._connection.rollback()
        except duckdb.Error:
            log.debug("no transaction to roll back", exc_info=True)

    def _remember(self, digests: list[int]) -> None:
        for hashed in digests:
            self._digests.pop(hashed, None)  # to the end: the oldest are forgotten first
            self._digests[hashed] = self._batch
        while len(self._digests) > _DIGESTED:
            self._digests.popitem(last=False)
        self._batch += 1

    def reader(self) -> StoredRows:
        """Return the rows for another thread."""
        return StoredRows(self._connection.cursor())

    def rows(self, series: int, start_ns: int, end_ns: int) -> Rows:
        """Return the rows of a series with start < time <= end, in the order of their times."""
        return StoredRows(self._connection).rows(series, start_ns, end_ns)

    def sent_after(self, time_ns: int) -> list[tuple[str, int]]:
        """Return ids of the outcomes handed to the leaf since then, and when (ns), in order."""
        return [
            (name, time_us * 1000)
            for name, time_us in self._connection.execute(
                "SELECT id, epoch_us(time) FROM outcome WHERE time > make_timestamp(?)"
                " ORDER BY rowid",
                [time_ns // 1000],
            ).fetchall()
        ]

    def sent(self, ids: Sequence[str]) -> list[SentOutcome]:
        """Return outcomes that were handed to the leaf, as far as they are kept, in order."""
        found: dict[str, SentOutcome] = {}
        for (
            name,
            time_us,
            source,
            plugin,
            end_us,
            label,
            score,
            packet,
            received_us,
        ) in self._connection.execute(
            "SELECT id, epoch_us(time), source, plugin, epoch_us(window_end), label, score,"
            " packet, epoch_us(received) FROM outcome WHERE id IN (SELECT unnest(?))"
            " ORDER BY rowid",
            [list(ids)],
        ).fetchall():
            found[name] = SentOutcome(
                id=name, time_ns=time_us * 1000, source=source, plugin=plugin,
                end_ns=end_us * 1000, label=label, score=score, packet=packet,
                received_ns=received_us * 1000,
            )  # fmt: skip
        return list(found.values())

    def used_bytes(self) -> int:
        """Return how much of the file is in use."""
        return used_bytes(self._connection)

    def newest_ns(self) -> int:
        """Return the newest time of any reading; 0 in an empty store."""
        found = self._connection.execute("SELECT epoch_us(max(time)) FROM reading").fetchone()
        return int(found[0]) * 1000 if found and found[0] is not None else 0

    def newest_by_source(self) -> dict[str, int]:
        """Return the time (ns) of the newest reading of each source."""
        found = self._connection.execute(
            "SELECT source, epoch_us(max(newest)) FROM (SELECT series, max(time) AS newest"
            " FROM reading GROUP BY series) JOIN series ON id = series GROUP BY source"
        ).fetchall()
        return {source: newest_us * 1000 for source, newest_us in found}

    def sweep(self, bounds: Bounds) -> int:
        """Delete what is out of bounds; return how many readings went.

        Raises:
            StoreError: DuckDB refused.
        """
        try:
            return sweep(self._connection, bounds, self._batch, self._clock)
        except duckdb.Error as exc:
            self._rollback()
            raise self.failed(exc) from exc

    def write_marks(self, marks: dict[str, dict[str, Mark]], sent: Sequence[SentOutcome]) -> None:
        """Write watermarks that have moved, devices that spoke, and outcomes that were sent.

        Raises:
            StoreError: Nothing was written; try again with what has changed since.
        """
        try:
            self._connection.begin()
            for plugin, by_source in marks.items():
                self._write_plugin(plugin, by_source)
            if sent:
                self._insert("outcome", outcome_columns(sent))
            self._write_devices()
            self._connection.commit()
        except duckdb.Error as exc:
            self._rollback()
            raise self.failed(exc) from exc
        self.register.touched.clear()
        for plugin, by_source in marks.items():
            self.marks.setdefault(plugin, {}).update(by_source)

    def _write_plugin(self, plugin: str, marks: dict[str, Mark]) -> None:
        if not marks:
            return
        self._insert("watermark", watermark_columns(plugin, marks))
        states = {source: mark.state for source, mark in marks.items() if mark.state is not None}
        if states:
            self._connection.execute(
                "INSERT INTO plugin_state (plugin, written, packed)"
                " VALUES (?, make_timestamp(?), ?)",
                [plugin, self._clock.now_ns() // 1000, pack_states(states)],
            )

    def _write_devices(self) -> None:
        devices = [self.register.devices[name] for name in self.register.touched]
        if devices:
            self._insert("device", device_columns(devices))
