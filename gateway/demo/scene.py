"""The demo's camera: a shop's entrance from above, people who come and go, and the truth.

Everything is drawn, and follows from the seed and the time: any frame can be had in any order.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.demo.entrance import CAMERA_HEIGHT_M, DOOR, FOCAL, PITCH, PLANT, RACK, foreground, room
from gateway.demo.figures import Box, Camera, Look, Pixels, Stance, Stroke, bounds, figure, paint
from gateway.model import Points

FPS = 10.0
LINE: Points = ((0.0, 0.6), (1.0, 0.6))
"""Who comes into the shop goes over it downwards: in, as counters have it."""
EVERY_S = 4.0
"""Within each such time one person comes, or nobody."""
COMES = 0.6
"""How likely it is that one does."""
LONGEST_S = 30.0
_NOISE = 8  # different pictures of noise
_WAYS = (
    (DOOR, (-0.5, 5.5), (-1.6, 1.6)),
    (DOOR, (0.2, 6.0), (1.5, 1.4)),
    (DOOR, (-0.4, 6.5), (-4.6, 5.0)),
    ((4.6, 4.6), (0.8, 6.4), DOOR),
    ((1.4, 1.4), (0.4, 5.0), DOOR),
    ((-1.5, 1.5), (-0.3, 6.0), DOOR),
    ((-4.6, 4.2), (4.6, 4.6)),
    (DOOR, (-0.9, 6.9), (-1.3, 7.1), (-0.4, 4.5), (0.3, 1.4)),
)


class Person(NamedTuple):
    """One person in a frame.

    Attributes:
        id: From 0, in the order in which they came.
        box: Left, top, right, bottom, as parts of the picture, within it.
        feet: Where it stands, as parts of the picture; may lie outside.
    """

    id: int
    box: Box
    feet: tuple[float, float]


class Crossing(NamedTuple):
    """One person goes over a line.

    Attributes:
        time_s: When.
        id: Who.
        way: 1: from the left of the line to its right, seen from its first point to its second,
            -1: the other way.
    """

    time_s: float
    id: int
    way: int


@dataclass(frozen=True, slots=True)
class _Walk:
    """One person's way through the picture."""

    id: int
    comes: bool
    start_s: float
    speed: float
    look: Look
    way: NDArray[np.float64]

    def stance(self, time_s: float) -> Stance | None:
        """Return where the person is and how it stands, or None: not in the room."""
        gone = (time_s - self.start_s) * self.speed
        steps = np.diff(self.way, axis=0)
        lengths = np.hypot(steps[:, 0], steps[:, 1])
        if not 0 <= gone < lengths.sum():
            return None
        ends = np.concatenate([[0.0], np.cumsum(lengths)])
        leg = int(np.searchsorted(ends, gone, side="right")) - 1
        x_m, y_m = self.way[leg] + steps[leg] * (gone - ends[leg]) / lengths[leg]
        heading = math.atan2(steps[leg][0], steps[leg][1])
        return Stance(float(x_m), float(y_m), heading, gone * math.pi / (0.4 * self.look.height_m))


class Scene:
    """A generated camera.

    Args:
        seed: Another seed, other people.
        size: Width and height, px; 16:9 looks best.
    """

    def __init__(self, seed: int = 1, size: tuple[int, int] = (640, 360)) -> None:
        self.size = size
        self._seed = seed
        self._camera = Camera(size, CAMERA_HEIGHT_M, PITCH, FOCAL)
        self._walks: dict[int, _Walk] = {}

    def frame(self, time_s: float) -> Pixels:
        """Return the picture at a time from 0 on: uint8 [height, width, 3], BGR."""
        image = self._room.copy()
        people = [(at.y_m, self._strokes(walk, at)) for walk, at in self._there(time_s)]
        self._cast_shadows(image, time_s)
        things = people + self._things
        for _, strokes in sorted(things, key=lambda each: -each[0]):
            paint(image, strokes)
        light = 1.0 + 0.05 * math.sin(time_s / 9.0) + 0.02 * math.sin(time_s * 0.9)
        cv2.convertScaleAbs(image, image, light, 0.0)
        more, less = self._noise[round(time_s * FPS) * 5 % _NOISE]
        cv2.add(image, more, image)
        cv2.subtract(image, less, image)
        return image

    def people(self, time_s: float) -> list[Person]:
        """Return who is in the picture at a time, hidden behind something or not."""
        found = []
        width, height = self.size
        for walk, at in self._there(time_s):
            left, top, right, bottom = bounds(self._strokes(walk, at))
            inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
            if inside[2] - inside[0] > 1 and inside[3] - inside[1] > 1:
                box = inside[0] / width, inside[1] / height, inside[2] / width, inside[3] / height
                found.append(Person(walk.id, box, self._feet(at)))
        return found

    def crossings(self, until_s: float, line: Points = LINE) -> list[Crossing]:
        """Return who goes over a line from 0 until a time, by the feet, in order."""
        found = []
        before: dict[int, tuple[float, float]] = {}
        for i in range(round(until_s * FPS)):
            now = {walk.id: self._feet(at) for walk, at in self._there(i / FPS)}
            for id_, feet in now.items():
                way = _passes(before[id_], feet, line) if id_ in before else 0
                if way:
                    found.append(Crossing(i / FPS, id_, way))
            before = now
        return found

    @cached_property
    def _room(self) -> Pixels:
        return room(self._camera)

    @cached_property
    def _things(self) -> list[tuple[float, list[Stroke]]]:
        return foreground(self._camera)

    @cached_property
    def _noise(self) -> list[tuple[Pixels, Pixels]]:
        rng = np.random.default_rng(self._seed)
        shape = (self.size[1], self.size[0], 3)
        noise = [rng.normal(0, 2.5, shape).round() for _ in range(_NOISE)]
        return [(n.clip(0).astype(np.uint8), (-n).clip(0).astype(np.uint8)) for n in noise]

    def _there(self, time_s: float) -> list[tuple[_Walk, Stance]]:
        """Return who walks through the room at a time."""
        last = math.floor(time_s / EVERY_S)
        first = max(0, last - math.ceil(LONGEST_S / EVERY_S))
        walks = [self._walk(i) for i in range(first, last + 1)]
        found = [(walk, walk.stance(time_s)) for walk in walks]
        return [(walk, at) for walk, at in found if at is not None and walk.comes]

    def _walk(self, id_: int) -> _Walk:
        walk = self._walks.get(id_)
        if walk is None:
            rng = np.random.default_rng((self._seed, id_))
            way = np.array(_WAYS[rng.integers(len(_WAYS))])
            way[1:-1] += rng.normal(0, 0.25, way[1:-1].shape)
            start_s = (id_ + float(rng.uniform(0, 0.9))) * EVERY_S
            comes, speed = bool(rng.random() < COMES), float(rng.uniform(0.95, 1.4))
            walk = _Walk(id_, comes, start_s, speed, Look.chosen(rng), way)
            self._walks[id_] = walk
            if len(self._walks) > 100:
                del self._walks[next(iter(self._walks))]
        return walk

    def _strokes(self, walk: _Walk, at: Stance) -> list[Stroke]:
        return figure(walk.look, at, self._camera)

    def _feet(self, at: Stance) -> tuple[float, float]:
        seen, _ = self._camera.project(np.array([[at.x_m, at.y_m, 0.0]]))
        return float(seen[0, 0]) / self.size[0], float(seen[0, 1]) / self.size[1]

    def _cast_shadows(self, image: Pixels, time_s: float) -> None:
        """Darken the floor under everybody and everything that stands on it."""
        spots = [(at.x_m, at.y_m, 0.32) for _, at in self._there(time_s)]
        spots += [(*PLANT, 0.45), (*RACK, 0.55)]
        for x_m, y_m, radius_m in spots:
            seen, scale = self._camera.project(np.array([[x_m + 0.1, y_m - 0.05, 0.0]]))
            for part in (1.0, 0.75, 0.5):
                _darken(image, seen[0], part * radius_m * float(scale[0]))


def _darken(image: Pixels, middle: NDArray[np.float64], radius: float) -> None:
    """Darken an ellipse of the picture by a tenth."""
    height, width = image.shape[:2]
    x, y = round(float(middle[0])), round(float(middle[1]))
    across, down = max(1, round(radius)), max(1, round(radius * 0.45))
    left, right = max(0, x - across), min(width, x + across + 1)
    top, bottom = max(0, y - down), min(height, y + down + 1)
    if left >= right or top >= bottom:
        return
    part = image[top:bottom, left:right]
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.ellipse(mask, (x - left, y - top), (across, down), 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.copyTo(cv2.convertScaleAbs(part, None, 0.88), mask, part)


def _passes(start: tuple[float, float], end: tuple[float, float], line: Points) -> int:
    """Return 1 if a step goes through a line to its right, -1 to its left, else 0."""
    a, b = line
    before, after = _side(a, b, start) >= 0, _side(a, b, end) >= 0
    if before == after or _side(start, end, a) * _side(start, end, b) > 0:
        return 0
    return 1 if after else -1


def _side(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
