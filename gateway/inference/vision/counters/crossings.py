"""Objects that go over a line."""

from dataclasses import dataclass

from gateway.inference.frame_sections import CountSection
from gateway.inference.vision.tracks import Box, Point, Track
from gateway.model import Points

MARGIN = 0.1
"""Parts of the object's size, across the line, by which it must be beyond to have crossed."""


@dataclass(slots=True)
class _Path:
    """How a track goes about the line.

    Attributes:
        at: Where it was last.
        far: Its greatest distance on the side where it is, below 0 on the left.
        passed: Times that it went through the line to the right less those to the left, since it
            was surely on that side.
        ins, outs: Crossings that count as soon as the track is confirmed.
        last_ns: When it was last seen.
    """

    at: Point
    far: float
    last_ns: int
    passed: int = 0
    ins: int = 0
    outs: int = 0


class Crossings:
    """Counts who goes through a line, for each direction.

    A crossing counts when the object's path went through the line itself (not beside its ends) and
    the object is beyond it by a part of its size. Whoever stands on the line and wavers crosses
    once at most.

    Args:
        spec: The ``[[count]]``.

    Attributes:
        pending: Crossings in and out since the last report.
    """

    level = 0.0

    def __init__(self, spec: CountSection) -> None:
        self.pending = [0.0, 0.0]
        self._spec = spec
        self._place: Points = ()
        self._paths: dict[int, _Path] = {}

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return in and out since the last report."""
        return tuple(self.pending)

    def update(self, tracks: list[Track], time_ns: int, place: Points) -> None:
        """Take the tracks after a frame."""
        if place != self._place:
            self._place = place
            self._paths.clear()
        paths = {}
        for track in tracks:
            if self._spec.classes and track.label not in self._spec.classes:
                continue
            path = paths[track.id] = self._followed(track)
            if track.confirmed:
                self.pending[0] += path.ins
                self.pending[1] += path.outs
                path.ins = path.outs = 0
        self._paths = paths

    def _followed(self, track: Track) -> _Path:
        at = track.at(self._spec.anchor)
        path = self._paths.get(track.id)
        if path is None:
            return _Path(at, _distance(at, self._place), track.last_ns)
        if track.last_ns > path.last_ns:
            _step(path, at, self._place, MARGIN * _across(track.box, self._place))
            path.last_ns = track.last_ns
        return path


def _step(path: _Path, to: Point, line: Points, margin: float) -> None:
    """Take the next point of a path."""
    path.passed += _passes(path.at, to, line)
    path.at = to
    distance = _distance(to, line)
    if distance * path.far >= 0:
        path.far = max(path.far, distance, key=abs)
        if abs(distance) >= margin:
            path.passed = 0
    elif abs(distance) >= margin and abs(distance - path.far) >= 2 * margin:
        path.ins += path.passed > 0
        path.outs += path.passed < 0
        path.far, path.passed = distance, 0


def _distance(at: Point, line: Points) -> float:
    """Return how far a point lies to the right of the line, which goes on past its ends.

    To the right as seen when going from its first point to its second, y pointing down.
    """
    (ax, ay), (bx, by) = line
    length = float(((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5)
    return _turn((ax, ay), (bx, by), at) / length


def _across(box: Box, line: Points) -> float:
    """Return the size of a box across the line."""
    (ax, ay), (bx, by) = line
    length = float(((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5)
    return (abs(by - ay) * (box[2] - box[0]) + abs(bx - ax) * (box[3] - box[1])) / length


def _passes(start: Point, end: Point, line: Points) -> int:
    """Return 1 if a step goes through the line to the right, -1 to the left, else 0.

    A point on the line is on its right, so that a path which touches it is not counted twice.
    """
    a, b = line
    before, after = _turn(a, b, start) >= 0, _turn(a, b, end) >= 0
    if before == after:
        return 0
    first, second = _turn(start, end, a), _turn(start, end, b)
    if first * second > 0:
        return 0
    return 1 if after else -1


def _turn(a: Point, b: Point, c: Point) -> float:
    """Return above 0 if ``c`` lies to the right when going from ``a`` to ``b``, y pointing down."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
