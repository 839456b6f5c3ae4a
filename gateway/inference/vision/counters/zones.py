"""Objects in a zone: how many there are, how long they stay, how many wait."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.inference.frame_sections import CountSection
from gateway.inference.vision.steady import Steady
from gateway.inference.vision.tracks import Point, Track
from gateway.model import Points

_NS = 1e9


class Zone:
    """A part of the picture; its border belongs to it.

    Args:
        spec: The ``[[count]]``: classes and anchor.
    """

    def __init__(self, spec: CountSection) -> None:
        self._spec = spec
        self._place: Points = ()
        self._polygon: NDArray[np.float32] | None = None

    def inside(self, tracks: list[Track], place: Points) -> Iterator[Track]:
        """Yield the confirmed tracks that are in the zone; in () is everything."""
        if place != self._place:
            self._place = place
            self._polygon = np.array(place, np.float32) if place else None
        for track in tracks:
            if not track.confirmed:
                continue
            if self._spec.classes and track.label not in self._spec.classes:
                continue
            if self._has(track.at(self._spec.anchor)):
                yield track

    def _has(self, at: Point) -> bool:
        return self._polygon is None or cv2.pointPolygonTest(self._polygon, at, False) >= 0


class Occupancy:
    """Counts who is in a zone now; of ``presence`` it tells 1 at most.

    Args:
        spec: The ``[[count]]``.

    Attributes:
        pending: Nothing.
    """

    def __init__(self, spec: CountSection) -> None:
        self.pending: list[float] = []
        self._most = 1.0 if spec.what == "presence" else float("inf")
        self._zone = Zone(spec)
        self._steady: Steady[float] = Steady(round(spec.hold_s * _NS))

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return how many are there."""
        return (self.level or 0.0,)

    @property
    def level(self) -> float | None:
        """Return how many are there."""
        return self._steady.value

    @level.setter
    def level(self, value: float) -> None:
        self._steady.value = value

    def update(self, tracks: list[Track], time_ns: int, place: Points) -> None:
        """Take the tracks after a frame."""
        there = sum(1 for _ in self._zone.inside(tracks, place))
        self._steady.update(min(float(there), self._most), time_ns)


@dataclass(slots=True)
class _Stay:
    """From when, and until when, a track was in the zone."""

    from_ns: int
    until_ns: int

    @property
    def length_s(self) -> float:
        """Return how long."""
        return (self.until_ns - self.from_ns) / _NS


class _Stays:
    """Who is in a zone and since when; out of it for no more than ``hold_s`` is not left."""

    def __init__(self, spec: CountSection) -> None:
        self._zone = Zone(spec)
        self._hold_ns = round(spec.hold_s * _NS)
        self._stays: dict[int, _Stay] = {}

    def update(self, tracks: list[Track], place: Points) -> list[_Stay]:
        """Take the tracks after a frame, and return the stays that ended."""
        for track in self._zone.inside(tracks, place):
            stay = self._stays.setdefault(track.id, _Stay(track.last_ns, track.last_ns))
            stay.until_ns = track.last_ns
        seen_ns = {track.id: track.last_ns for track in tracks}
        ended = [
            id_
            for id_, stay in self._stays.items()
            if id_ not in seen_ns or seen_ns[id_] - stay.until_ns > self._hold_ns
        ]
        return [self._stays.pop(id_) for id_ in ended]

    def now(self) -> list[_Stay]:
        """Return the stays that go on."""
        return list(self._stays.values())


class Dwell:
    """Measures how long objects stay in a zone; shorter than ``hold_s`` is no visit.

    Args:
        spec: The ``[[count]]``.

    Attributes:
        pending: The visits that ended since the last report: their lengths' sum in s, and how many.
    """

    level = 0.0

    def __init__(self, spec: CountSection) -> None:
        self.pending = [0.0, 0.0]
        self._hold_s = spec.hold_s
        self._stays = _Stays(spec)

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return the mean length in s and the number of the visits since the last report."""
        total_s, visits = self.pending
        return (total_s / visits if visits else 0.0, visits)

    def update(self, tracks: list[Track], time_ns: int, place: Points) -> None:
        """Take the tracks after a frame."""
        for stay in self._stays.update(tracks, place):
            if stay.length_s >= self._hold_s:
                self.pending[0] += stay.length_s
                self.pending[1] += 1


class Queue:
    """Counts who has been in a zone for ``after_s``.

    Args:
        spec: The ``[[count]]``.

    Attributes:
        pending: Nothing.
    """

    def __init__(self, spec: CountSection) -> None:
        self.pending: list[float] = []
        self._after_s = spec.after_s
        self._stays = _Stays(spec)
        self._steady: Steady[float] = Steady(round(spec.hold_s * _NS))
        self._longest_s = 0.0

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return how many wait, and in s how long the first of them has waited."""
        return (self.level or 0.0, self._longest_s if self.level else 0.0)

    @property
    def level(self) -> float | None:
        """Return how many wait."""
        return self._steady.value

    @level.setter
    def level(self, value: float) -> None:
        self._steady.value = value

    def update(self, tracks: list[Track], time_ns: int, place: Points) -> None:
        """Take the tracks after a frame."""
        self._stays.update(tracks, place)
        waits_s = [s.length_s for s in self._stays.now() if s.length_s >= self._after_s]
        self._longest_s = max(waits_s, default=0.0)
        self._steady.update(float(len(waits_s)), time_ns)
