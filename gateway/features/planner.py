"""Which windows are due: a function of the readings alone.

A window ends at a reading's own time: a source's first one at its first reading or up to a second
later (`first_delay_ns`), each further one at the first reading, in the order of arrival, that lies
a hop later. So how messages were batched, or that the gateway was away, changes nothing; and what a
reading says is judged at once, not at the next full second.
"""

import zlib
from collections import deque
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from gateway.features.columns import Batch
from gateway.features.series import Register, Series
from gateway.model import WindowSpec

_SLACK = 0.1
"""Share of a hop that a reading may be early: no device that reports once a hop is punctual."""


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


def first_delay_ns(source: str, hop_s: float) -> int:
    """Return how long after its first reading a source's first window ends, at the earliest.

    Up to a hop and at most a second, by the source's name: sources that begin together, as they
    do after a power cut, are not all evaluated at the same moment of every second.
    """
    return int(zlib.crc32(source.encode()) / 2**32 * min(hop_s, 1.0) * 1e9)


class Planner:
    """The windows of one plugin that are due.

    Args:
        spec: Which windows the plugin wants.
        register: The series; looked at anew when it has grown.
        floor_ns: Readings up to here make no window due, unless `done` says otherwise.

    Attributes:
        due: The windows that are due, the oldest first.
        behind_row: None, or the row in the store up to which rows have been noted: those behind
            it have to be noted from there, as too many windows were due when they came.
    """

    def __init__(self, spec: WindowSpec, register: Register, floor_ns: int = 0) -> None:
        self.spec = spec
        self._register = register
        self._hop_ns = int(spec.hop_s * 1e9 * (1 - _SLACK))
        self._floor_ns = floor_ns
        self._seen = 0
        self._wanted = np.zeros(0, dtype=np.bool_)
        self._channels: dict[int, list[Series]] = {}
        self._next_ns: dict[int, int] = {}
        self.due: deque[Due] = deque()
        self.behind_row: int | None = None

    def channels(self, source: int) -> list[Series]:
        """Return the source's series that the plugin sees, in the order of their names."""
        return self._channels.get(source, [])[: self.spec.max_channels]

    def done(self, source: int, end_ns: int) -> None:
        """Set how far a source has been evaluated."""
        self._next_ns[source] = end_ns + self._hop_ns

    def note(self, batch: Batch) -> None:
        """Take in rows that the store has committed, in the order of arrival."""
        self._look_for_series()
        if not len(batch.series):
            return
        wanted = self._wanted[batch.series]
        if not wanted.any():
            return
        sources = self._register.source_of[batch.series[wanted]].tolist()
        times_ns = batch.time_ns[wanted].tolist()
        received_ns = batch.received_ns[wanted]
        next_ns = self._next_ns
        for i, (source, time_ns) in enumerate(zip(sources, times_ns, strict=True)):
            if source not in next_ns and time_ns > self._floor_ns:
                name = self._register.sources[source]
                next_ns[source] = time_ns + first_delay_ns(name, self.spec.hop_s)
            if time_ns < next_ns.get(source, time_ns + 1):
                continue
            if len(self._channels[source]) >= self.spec.min_channels:
                next_ns[source] = time_ns + self._hop_ns
                self.due.append(Due(source, time_ns, int(received_ns[i])))

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
