"""Which windows are due: a function of the readings alone.

A reading at time t belongs to the window that ends at ``ceil(t / hop) * hop`` (and to later ones
that reach back to it). A window with such a reading is due once its source has a reading at or
after its end. So how messages were batched, or that the gateway was away, changes nothing.
"""

from collections import deque
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.features.columns import Batch
from gateway.features.series import Register, Series
from gateway.model import WindowSpec


class Due(NamedTuple):
    """One window to be evaluated: which source, its end, and what arrival made it due."""

    source: int
    end_ns: int
    received_ns: int


def wants(spec: WindowSpec, series: Series) -> bool:
    """Say whether a plugin wants a series among its channels."""
    if series.metric.startswith("$"):
        return False
    names = {series.metric, series.channel}
    return any(fnmatchcase(n, g) for n in names for g in spec.metrics) and not any(
        fnmatchcase(n, g) for n in names for g in spec.exclude
    )


class Planner:
    """The windows of one plugin: those waiting for their end to pass, and those due.

    Args:
        spec: Which windows the plugin wants.
        register: The series; looked at anew when it has grown.
    """

    def __init__(self, spec: WindowSpec, register: Register) -> None:
        self.spec = spec
        self._register = register
        self._hop_ns = int(spec.hop_s * 1e9)
        self._seen = 0
        self._wanted = np.zeros(0, dtype=np.bool_)
        self._channels: dict[int, list[Series]] = {}
        self._done_ns: dict[int, int] = {}
        self._newest_ns: dict[int, int] = {}
        self._waiting: dict[int, list[int]] = {}
        self.floor_ns = 0  # sources without a mark of their own count from here
        self.due: deque[Due] = deque()

    def channels(self, source: int) -> list[Series]:
        """Return the source's series that the plugin sees, in the order of their names."""
        return self._channels.get(source, [])[: self.spec.max_channels]

    def done(self, source: int, end_ns: int) -> None:
        """Set how far a source has been evaluated: nothing up to there becomes due again."""
        self._done_ns[source] = max(end_ns, self._done_ns.get(source, end_ns))

    def note(self, batch: Batch) -> None:
        """Take in rows that the store has committed; `due` grows by what they complete."""
        self._look_for_series()
        if not len(batch.series):
            return
        wanted = self._wanted[batch.series]
        if not wanted.any():
            return
        source = self._register.sources_of(batch.series[wanted]).astype(np.int64)
        time_ns, received_ns = batch.time_ns[wanted], batch.received_ns[wanted]
        end_ns = -(-time_ns // self._hop_ns) * self._hop_ns
        for each in np.unique(source):
            mine = source == each
            self._note_source(int(each), time_ns[mine], end_ns[mine], received_ns[mine])

    def _note_source(
        self,
        source: int,
        time_ns: NDArray[np.int64],
        end_ns: NDArray[np.int64],
        received_ns: NDArray[np.int64],
    ) -> None:
        if len(self._channels.get(source, ())) < self.spec.min_channels:
            return
        done_ns = self._done_ns.get(source, self.floor_ns)
        waiting = self._waiting.setdefault(source, [])
        fresh = [end for end in np.unique(end_ns).tolist() if end > done_ns]
        if fresh and fresh != waiting:
            waiting[:] = sorted({*waiting, *fresh})
        newest_ns = max(int(time_ns.max()), self._newest_ns.get(source, -1))
        self._newest_ns[source] = newest_ns
        passed = sum(1 for end in waiting if end <= newest_ns)
        for end in waiting[:passed]:
            at = int(np.argmax(time_ns >= end))  # the first row that passes the end, or row 0
            self.due.append(Due(source, end, int(received_ns[at])))
        if passed:
            self._done_ns[source] = waiting[passed - 1]
            del waiting[:passed]

    def _look_for_series(self) -> None:
        """Sort the series that are new since the last look among the sources' channels."""
        series = self._register.series
        if self._seen == len(series):
            return
        if len(series) > len(self._wanted):
            grown = np.zeros(2 * len(series), dtype=np.bool_)
            grown[: len(self._wanted)] = self._wanted
            self._wanted = grown
        for one in series[self._seen :]:
            if wants(self.spec, one):
                self._wanted[one.number] = True
                channels = self._channels.setdefault(one.source_number, [])
                channels.append(one)
                channels.sort(key=lambda s: s.channel)
        self._seen = len(series)
