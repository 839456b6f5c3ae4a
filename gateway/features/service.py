"""What the pipeline calls: the store on a thread of its own, and the plugins' windows."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.clock import BoxClock, Change
from gateway.errors import StoreError
from gateway.features import aside, migration
from gateway.features.columns import Item
from gateway.features.correction import Move
from gateway.features.lateness import TooOld, too_old
from gateway.features.marks import Mark
from gateway.features.planner import Due, Planner
from gateway.features.retention import Bounds
from gateway.features.rows import StoredRows
from gateway.features.series import CAPACITY, Capacity, Register
from gateway.features.sql import FeatureQuery, query
from gateway.features.store import Appended, DuckStore
from gateway.features.tables import DeadLetter, SentOutcome
from gateway.features.windows import WindowReader
from gateway.model import Windows, WindowSpec

log = logging.getLogger(__name__)

_Any = TypeVar("_Any")
_QUERY_LIMIT_S = 30.0
_MOST_DUE = 20_000
_CATCH_UP_ROWS = 200_000
_LEAST_BYTES = 4_000_000  # a store is not made smaller than this, whatever the disk
KEEP_S = 600.0
"""Readings kept at hand for windows; longer windows are read from DuckDB."""


class FeatureService:
    """The feature store as the event loop sees it.

    Args:
        path: The DuckDB file.
        assets: Device name to asset name.
        bounds: How much the store may keep.
        clock: The box's; it goes on from where the store says that it stood.
        capacity: How many devices and series there may be.

    Attributes:
        held: Why readings must not be stored now; "" when they may.
    """

    def __init__(
        self,
        path: Path,
        assets: dict[str, str],
        bounds: Bounds,
        clock: BoxClock | None = None,
        capacity: Capacity = CAPACITY,
    ) -> None:
        self._clock = clock or BoxClock()
        self._path = path
        self._assets = assets
        self._bounds = bounds
        self._capacity = capacity
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._windows = ThreadPoolExecutor(1, thread_name_prefix="windows")
        self._lock = Lock()  # over recent rows and planners: windows need not wait for DuckDB
        self._queries = ThreadPoolExecutor(1, thread_name_prefix="query")
        self._planners: dict[str, Planner] = {}
        self._since_ns: dict[str, int] = {}  # older rows than this are evaluated, by plugin
        self._store: DuckStore
        self._rows: StoredRows
        self._reader: WindowReader
        self._features: FeatureQuery
        self._tightest_bytes: int | None = None
        self.held = ""
        self.swept = 0

    async def _on_store(self, call: Callable[..., _Any], *args: Any) -> _Any:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._healed, call, *args)

    def _healed(self, call: Callable[..., _Any], *args: Any) -> _Any:  # noqa: ANN401
        """Call on a store that DuckDB has not given up, or not any more."""
        if self._store.given_up:
            self._reopen()
        try:
            return call(*args)
        except duckdb.Error as exc:
            raise self._store.failed(exc) from exc

    def _reopen(self) -> None:
        with self._lock:
            self._rows.close()
            self._store.reopen()
            self._rows = self._store.reader()
            self._reader = WindowReader(self._store.recent, self._rows)
            # What was committed at last may not have been noted; what was is not due twice.
            row = max(-1, self._store.last_row() - _CATCH_UP_ROWS)
            for name, planner in self._planners.items():
                noted = planner.behind_row
                planner.behind_row = row if noted is None else min(row, noted)
                self._since_ns.setdefault(name, 0)
        log.warning("store: opened again after DuckDB had given it up")

    async def open(self) -> None:
        """Open the store and read back where everything stood.

        What is damaged is set aside, see `aside`.

        Raises:
            StoreError: It cannot be opened.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    def _open(self) -> None:
        self._store = aside.opened(self._path, self._opened)
        self._read_anew()
        self._features = FeatureQuery(self._store.register)

    def _read_anew(self) -> None:
        self._rows = self._store.reader()
        self._reader = WindowReader(self._store.recent, self._rows)

    def _opened(self) -> DuckStore:
        store = DuckStore(self._path, self._assets, int(KEEP_S * 1e9), self._clock, self._capacity)
        store.recover()
        return store

    @property
    def damaged(self) -> str:
        """Return what shows that the file is damaged; "" while nothing does."""
        return self._store.damaged

    def note_damage(self) -> None:
        """Have the store set aside at the next start.

        Raises:
            OSError: That cannot be noted.
        """
        aside.note_damage(self._path, self._store.damaged)

    async def close(self) -> None:
        """Write everything and close the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._store.close)
        self._windows.shutdown()
        self._thread.shutdown()
        self._queries.shutdown()

    @property
    def path(self) -> Path:
        """Return where the store lies."""
        return self._path

    @property
    def register(self) -> Register:
        """Return the series and devices known; read only."""
        return self._store.register

    def marks(self, plugin: str) -> dict[str, Mark]:
        """Return where a plugin stands with each source, as the store knows it."""
        return self._store.marks.get(plugin, {})

    def size(self) -> dict[str, Any]:
        """Return where the store lies and how large its file is."""
        wal = self._path.with_name(self._path.name + ".wal")
        size = sum(file.stat().st_size for file in (self._path, wal) if file.exists())
        return {"path": str(self._path), "bytes": size}

    def forget_copies(self) -> list[Path]:
        """Delete the copies kept before migrations; return which there were."""
        return migration.forget_copies(self._path)

    def last(self, series: int) -> tuple[int, float] | None:
        """Return time (ns) and value of a series' last reading."""
        return self._store.recent.last(series)

    async def add_plugin(self, name: str, spec: WindowSpec) -> None:
        """Begin to plan a plugin's windows, from where it stood."""
        await self._on_store(self._add_plugin, name, spec)

    def _add_plugin(self, name: str, spec: WindowSpec) -> None:
        marks = self._store.marks.get(name)
        if marks is None:
            # New here: what was stored before it came is not its to judge.
            self._store.write_marks({name: {"": Mark(self._store.newest_ns())}}, [])
            marks = self._store.marks[name]
        floor_ns = marks[""].end_ns if "" in marks else 0
        planner = Planner(spec, self._store.register, floor_ns)
        newest_ns = self._store.newest_by_source()
        behind_ns = []
        for number, source in enumerate(self._store.register.sources):
            done_ns = floor_ns
            if source in marks:
                done_ns = marks[source].end_ns
                planner.done(number, done_ns)
            if newest_ns.get(source, 0) > done_ns:
                behind_ns.append(done_ns)
        if behind_ns:
            planner.behind_row = -1
            self._since_ns[name] = min(behind_ns)
        self._planners[name] = planner

    def _catch_up(self, name: str, planner: Planner) -> None:
        """Note stored rows that a planner has not seen: a portion, so that memory stays flat."""
        if planner.behind_row is None:
            return
        since_ns = self._since_ns.get(name, 0)
        batch, last = self._store.rows_after(planner.behind_row, since_ns, _CATCH_UP_ROWS)
        with self._lock:
            planner.note(batch)
            planner.behind_row = last if len(batch.series) == _CATCH_UP_ROWS else None

    def remove_plugin(self, name: str) -> None:
        """Plan no more windows for a plugin; its watermarks stay."""
        self._planners.pop(name, None)

    async def append(self, items: Sequence[Item], dead: Sequence[DeadLetter]) -> Appended:
        """Store a batch in one transaction and plan the windows that it makes due.

        Raises:
            StoreError: Nothing was stored.
        """
        if self.held:
            raise StoreError(self.held)
        return await self._on_store(self._append, items, dead)

    def _append(self, items: Sequence[Item], dead: Sequence[DeadLetter]) -> Appended:
        appended = self._store.append(items, dead)
        with self._lock:
            self._store.recent.append(appended.batch)
            planners = [p for p in self._planners.values() if p.behind_row is None]
            for planner in planners:
                planner.note(appended.batch)
        for planner in planners:
            if len(planner.due) > _MOST_DUE:
                planner.behind_row = self._store.last_row()
        return appended

    @property
    def kept_s(self) -> float:
        """Return how old a reading may be, in seconds."""
        return self._bounds.max_age_s

    def too_old(self, items: Sequence[Item], appended: Appended) -> TooOld | None:
        """Return what of a batch that was stored is too old to be kept, None if nothing is."""
        before_ns = self._clock.before_ns(int(self._bounds.max_age_s * 1e9))
        ended = list(appended.duplicate)
        for index, refused in appended.refused.items():
            ended[index] |= refused.is_whole
        return too_old(items, ended, appended.batch, before_ns, self.register)

    def due(self, plugin: str) -> int:
        """Return how many windows of a plugin are due; one more if it has rows to catch up."""
        planner = self._planners.get(plugin)
        return len(planner.due) + (planner.behind_row is not None) if planner else 0

    async def take(self, plugin: str, limit: int) -> Windows | None:
        """Return the next windows of a plugin, at most ``limit``; None when none is due.

        Raises:
            QueryError: The plugin's SQL does not run; its windows are lost to it.
            StoreError: The store cannot be read now; the windows stay due.
        """
        planner = self._planners.get(plugin)
        if planner is None:
            return None
        if not planner.due:
            await self._on_store(self._catch_up, plugin, planner)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._windows, self._take, planner, limit)

    def _take(self, planner: Planner, limit: int) -> Windows | None:
        if not planner.due:
            return None
        due: list[Due] = [planner.due.popleft() for _ in range(min(limit, len(planner.due)))]
        with self._lock:
            try:
                return self._assemble(planner, due)
            except duckdb.Error as exc:
                planner.due.extendleft(reversed(due))
                raise self._store.failed(exc) from exc

    def _assemble(self, planner: Planner, due: list[Due]) -> Windows:
        values, channels = self._reader.tensor(planner, due)
        features: NDArray[np.float32] = np.empty((len(due), 0), dtype=np.float32)
        names: tuple[str, ...] = ()
        if planner.spec.sql:
            rows = self._reader.long(planner, due)
            features, names = self._features.run(planner.spec.sql, due, rows)
        end_ns = np.array([d.end_ns for d in due], dtype=np.int64)
        return Windows(
            sources=[self.register.sources[d.source] for d in due],
            start_ns=end_ns - int(planner.spec.length_s * 1e9),
            end_ns=end_ns,
            channels=channels,
            values=values,
            features=features,
            feature_names=names,
            received_ns=np.array([d.received_ns for d in due], dtype=np.int64),
        )

    async def write_marks(
        self, marks: dict[str, dict[str, Mark]], sent: Sequence[SentOutcome]
    ) -> None:
        """Write watermarks that moved and outcomes that were sent.

        Raises:
            StoreError: Nothing was written.
        """
        await self._on_store(self._store.write_marks, marks, sent)

    async def move(self, change: Change) -> int:
        """Go over to another era of the clock, and move with it what was stamped in doubt.

        Nothing may be under way: no batch that is decoded and not appended, no window taken. What
        was due is planned again.

        Returns:
            How many rows of readings and waveforms were moved.

        Raises:
            StoreError: The clock and the store are as they were.
        """
        return await self._on_store(self._move, change)

    def _move(self, change: Change) -> int:
        era = self._clock.era
        now_ns = self._clock.now_in_ns(change.era)
        step_ns = change.step_ns // 1000 * 1000
        move = Move(step_ns, era.mark, era.began_ns, now_ns, change.era.mark)
        try:
            rows = self._store.move(move, change.era)
            self._clock.begin(change)
        finally:
            self._plan_anew()
        return rows

    async def plan_anew(self) -> None:
        """Plan all windows behind the plugins' marks again, as at a start."""
        await self._on_store(self._plan_anew)

    def _plan_anew(self) -> None:
        with self._lock:
            self._read_anew()
            for name, planner in list(self._planners.items()):
                self._add_plugin(name, planner.spec)

    async def write_era(self, change: Change) -> None:
        """Go over to an era of the clock in which the times are the same.

        Raises:
            StoreError: It stays in the one that it is in.
        """
        await self._on_store(self._store.write_era, change.era)
        self._clock.begin(change)

    async def sent_after(self, time_ns: int) -> list[tuple[str, int]]:
        """Return ids of the outcomes handed to the leaf since then, and when (ns), in order.

        Raises:
            StoreError: DuckDB refused.
        """
        return await self._on_store(lambda: self._store.sent_after(time_ns))

    async def sent(self, ids: Sequence[str]) -> list[SentOutcome]:
        """Return outcomes that were handed to the leaf; those that are still kept, in order.

        Raises:
            StoreError: DuckDB refused.
        """
        return await self._on_store(lambda: self._store.sent(ids))

    async def sweep(self) -> None:
        """Delete what is out of bounds, and note what time it is.

        Raises:
            StoreError: DuckDB refused.
        """
        if self.held:  # to delete takes room too
            return
        await self._on_store(self._store.write_era, self._clock.era)
        bounds = self._bounds
        if self._tightest_bytes is not None:
            bounds = replace(bounds, max_bytes=min(bounds.max_bytes, self._tightest_bytes))
        self.swept += await self._on_store(self._store.sweep, bounds)

    async def tighten(self) -> None:
        """Delete the oldest tenth, and grow no more until `loosen`: the disk is nearly full.

        The file keeps its size; what is new takes the room of what was deleted.

        Raises:
            StoreError: DuckDB refused.
        """
        used = await self._on_store(self._store.used_bytes)
        self._tightest_bytes = max(_LEAST_BYTES, used * 9 // 10)
        await self.sweep()

    def loosen(self) -> None:
        """Let the store grow to its bounds again."""
        self._tightest_bytes = None

    async def answers(self) -> bool:
        """Return once the store's thread has had a turn and DuckDB has answered a trivial query.

        Raises:
            StoreError: DuckDB refused: after a fatal error it does so until it is opened again.
        """
        return bool(await self._on_store(self._answers))

    def _answers(self) -> bool:
        with self._store.cursor() as cursor:
            return cursor.execute("SELECT 1").fetchone() == (1,)

    async def query(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Answer a user's SELECT.

        Raises:
            QueryError: It writes, it is wrong, or it took more than 30 s.
        """
        loop = asyncio.get_running_loop()
        cursor = self._store.cursor()
        running = loop.run_in_executor(self._queries, query, cursor, statement)
        timer = loop.call_later(_QUERY_LIMIT_S, cursor.interrupt)
        try:
            return await running
        finally:
            timer.cancel()
            cursor.close()
