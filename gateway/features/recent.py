"""The newest readings of every series, in NumPy beside DuckDB.

A window of a few series takes DuckDB two milliseconds to find among millions of rows and NumPy a
few microseconds. DuckDB stays the truth: what is not here any more is read from there.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.features.columns import Batch

Rows = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Times (ns, ascending) and values of one series."""

_NEVER = np.iinfo(np.int64).min
_FIRST_CAPACITY = 64


class RowSource(Protocol):
    """Where the rows of a series can be read."""

    def rows(self, series: int, start_ns: int, end_ns: int) -> Rows:
        """Return the rows with start < time <= end, in the order of their times."""
        ...


class Recent:
    """A ring of rows for each series, all of one capacity.

    The capacity doubles while rows younger than ``keep_ns`` would be overwritten, as long as all
    rings together stay within ``max_bytes``.
    """

    def __init__(self, keep_ns: int, max_bytes: int = 128_000_000) -> None:
        self.keep_ns = keep_ns
        self._max_bytes = max_bytes
        self._time = np.full((0, _FIRST_CAPACITY), _NEVER, dtype=np.int64)
        self._value = np.zeros((0, _FIRST_CAPACITY), dtype=np.float64)
        self._count = np.zeros(0, dtype=np.int64)
        self._newest = np.full(0, _NEVER, dtype=np.int64)
        self._complete_since = np.full(0, _NEVER, dtype=np.int64)
        self._in_order = np.ones(0, dtype=np.bool_)

    @property
    def capacity(self) -> int:
        """Return the rows that each ring can hold."""
        return int(self._time.shape[1])

    def newest_ns(self, series: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the newest time seen of each series; the smallest int64 where there is none."""
        self._reserve(int(series.max(initial=-1)) + 1)
        return self._newest[series]

    def last(self, series: int) -> tuple[int, float] | None:
        """Return time (ns) and value of the row that came last, if any."""
        if series >= len(self._count) or not self._count[series]:
            return None
        at = (self._count[series] - 1) % self.capacity
        return int(self._time[series, at]), float(self._value[series, at])

    def covers(self, series: int, start_ns: int) -> bool:
        """Say whether every row of the series after ``start_ns`` is here."""
        return series < len(self._count) and bool(self._complete_since[series] <= start_ns)

    def incomplete_before(self, series: int, time_ns: int) -> None:
        """Say that of the first ``series`` series rows up to ``time_ns`` may be missing here."""
        self._reserve(series)
        known = self._complete_since[:series]
        np.maximum(known, time_ns, out=known)

    def contains(self, batch: Batch) -> NDArray[np.bool_]:
        """Say which rows of a batch are here already: same series, time and value."""
        self._reserve(int(batch.series.max(initial=-1)) + 1)
        here = self._time[batch.series] == batch.time_ns[:, None]
        return np.asarray((here & (self._value[batch.series] == batch.value[:, None])).any(axis=1))

    def append(self, batch: Batch) -> None:
        """Add a batch's rows, which the store has committed."""
        if not len(batch.series):
            return
        self._reserve(int(batch.series.max()) + 1)
        order = np.argsort(batch.series, kind="stable")
        series, time_ns, value = batch.series[order], batch.time_ns[order], batch.value[order]
        starts = np.ones(len(series), dtype=np.bool_)
        np.not_equal(series[1:], series[:-1], out=starts[1:])
        first = np.flatnonzero(starts)
        group = np.cumsum(starts) - 1
        rank = np.arange(len(series)) - first[group]
        self._grow(series, time_ns, rank)
        self._note_order(series, time_ns, first)
        sizes = np.bincount(group)
        kept = rank >= sizes[group] - self.capacity  # of more rows than fit, the last
        at = self._count[series] + rank
        if at.max() >= self.capacity:
            self._note_loss(series, at, time_ns, kept)
        row, column = series[kept], at[kept] % self.capacity
        self._time[row, column], self._value[row, column] = time_ns[kept], value[kept]
        self._count[series[first]] += sizes
        newest_ns = np.maximum.reduceat(time_ns, first)
        self._newest[series[first]] = np.maximum(self._newest[series[first]], newest_ns)

    def rows(self, series: int, start_ns: int, end_ns: int) -> Rows:
        """Return the rows with start < time <= end that are here, in the order of their times."""
        count = int(self._count[series]) if series < len(self._count) else 0
        capacity = self.capacity
        time_ns, value = self._time[series], self._value[series]
        if count < capacity:
            time_ns, value = time_ns[:count], value[:count]
        else:
            head = count % capacity
            time_ns = np.concatenate((time_ns[head:], time_ns[:head]))
            value = np.concatenate((value[head:], value[:head]))
        if not self._in_order[series]:
            order = np.argsort(time_ns, kind="stable")
            time_ns, value = time_ns[order], value[order]
        low, high = np.searchsorted(time_ns, (start_ns, end_ns), side="right")
        return time_ns[low:high].copy(), value[low:high].copy()

    def _reserve(self, series: int) -> None:
        have = len(self._count)
        if series <= have:
            return
        more = max(series - have, have, 64)
        self._time = np.vstack((self._time, np.full((more, self.capacity), _NEVER)))
        self._value = np.vstack((self._value, np.zeros((more, self.capacity))))
        self._count = np.r_[self._count, np.zeros(more, dtype=np.int64)]
        never = np.full(more, _NEVER, dtype=np.int64)
        self._newest = np.r_[self._newest, never]
        self._complete_since = np.r_[self._complete_since, never]
        self._in_order = np.r_[self._in_order, np.ones(more, dtype=np.bool_)]

    def _grow(
        self, series: NDArray[np.int32], time_ns: NDArray[np.int64], rank: NDArray[np.int64]
    ) -> None:
        """Double the capacity while a row would be overwritten that a window may still want."""
        while 2 * 16 * self.capacity * len(self._count) <= self._max_bytes:
            at = self._count[series] + rank
            if at.max() < self.capacity:
                return
            oldest = self._time[series, at % self.capacity]
            wanted = (at >= self.capacity) & (oldest > time_ns - self.keep_ns)
            if not wanted.any() and rank.max() < self.capacity:
                return
            self._double()

    def _double(self) -> None:
        size, capacity = self._time.shape
        column = np.arange(capacity)
        head = np.where(self._count > capacity, self._count % capacity, 0)
        at = (column[None, :] + head[:, None]) % capacity
        rows = np.arange(size)[:, None]
        time_ns = np.full((size, 2 * capacity), _NEVER, dtype=np.int64)
        value = np.zeros((size, 2 * capacity))
        time_ns[:, :capacity], value[:, :capacity] = self._time[rows, at], self._value[rows, at]
        self._count = np.minimum(self._count, capacity)
        self._time, self._value = time_ns, value

    def _note_order(
        self, series: NDArray[np.int32], time_ns: NDArray[np.int64], first: NDArray[np.intp]
    ) -> None:
        before = np.empty_like(time_ns)
        before[1:] = time_ns[:-1]
        before[first] = self._newest[series[first]]
        late = time_ns < before
        if late.any():
            self._in_order[series[late]] = False

    def _note_loss(
        self,
        series: NDArray[np.int32],
        at: NDArray[np.int64],
        time_ns: NDArray[np.int64],
        kept: NDArray[np.bool_],
    ) -> None:
        """Remember up to when rows are overwritten, or never get a place."""
        over = (at >= self.capacity) & kept
        lost_ns = self._time[series[over], at[over] % self.capacity]
        np.maximum.at(self._complete_since, series[over], lost_ns)
        np.maximum.at(self._complete_since, series[~kept], time_ns[~kept])
