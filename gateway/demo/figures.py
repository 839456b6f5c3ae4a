"""Walking figures, drawn: a skeleton that walks on a floor, seen by a camera, in a few strokes.

World: x to the right, y away from the camera along the floor, z up, metres; the camera stands above
(0, 0). Angles in radians. Colours are BGR, 0 to 255.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points3 = NDArray[np.float64]
Color = tuple[float, float, float]
Box = tuple[float, float, float, float]

NEAREST_M = 0.3
"""What is nearer than this to the camera is drawn as if it were so far."""
_SHIFT = 4  # cv2 takes parts of a pixel as fixed point numbers


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that looks along y and down.

    Attributes:
        size: Width and height of its picture, px.
        height_m: Above the floor.
        pitch: How far it looks down.
        focal: Focal length in widths of the picture.
    """

    size: tuple[int, int]
    height_m: float
    pitch: float
    focal: float

    def project(self, points: Points3) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where points [n, 3] are seen, px [n, 2], and there px per metre [n]."""
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        below = self.height_m - points[:, 2]
        depth = np.maximum(points[:, 1] * cos + below * sin, NEAREST_M)
        scale = self.focal * self.size[0] / depth
        across = points[:, 0] * scale + self.size[0] / 2
        down = (below * cos - points[:, 1] * sin) * scale + self.size[1] / 2
        return np.stack([across, down], axis=1), scale


class Stroke(NamedTuple):
    """A polygon, or with a width a line with round ends; px."""

    points: NDArray[np.float64]
    width: float
    color: Color


@dataclass(frozen=True, slots=True)
class Look:
    """What a figure looks like.

    Attributes:
        height_m: With shoes.
        girth: 1 is usual.
        top, trousers, skin, hair, shoes, bag: Colours.
        sleeves: Parts of the arm that are covered, 0 to 1.
        skirt: Length of a skirt or coat in parts of the height, 0: none.
        carries: What is in its hand or on its back.
        hat: It wears one, in the bag's colour.
    """

    height_m: float = 1.72
    girth: float = 1.0
    top: Color = (120, 60, 40)
    trousers: Color = (70, 50, 45)
    skin: Color = (140, 170, 215)
    hair: Color = (30, 40, 55)
    shoes: Color = (40, 40, 40)
    bag: Color = (40, 60, 130)
    sleeves: float = 1.0
    skirt: float = 0.0
    carries: str = ""
    hat: bool = False

    @staticmethod
    def chosen(rng: np.random.Generator) -> "Look":
        """Return one of the many looks that people have."""
        skin = np.array([120, 160, 210]) * rng.uniform(0.35, 1.1)
        hair = np.array([[25, 28, 32], [30, 50, 80], [70, 120, 170], [140, 140, 145]])
        return Look(
            height_m=float(rng.normal(1.70, 0.1)),
            girth=float(rng.uniform(0.85, 1.3)),
            top=_cloth(rng),
            trousers=_cloth(rng, 0.55),
            skin=_color(skin),
            hair=_color(hair[rng.integers(4)] * rng.uniform(0.7, 1.2)),
            shoes=_cloth(rng, 0.4),
            bag=_cloth(rng),
            sleeves=float(rng.choice([0.35, 1.0], p=[0.3, 0.7])),
            skirt=float(rng.choice([0.0, 0.12, 0.22, 0.3], p=[0.65, 0.13, 0.12, 0.1])),
            carries=str(rng.choice(["", "pack", "bag", "case"], p=[0.5, 0.2, 0.2, 0.1])),
            hat=bool(rng.random() < 0.12),
        )


class Stance(NamedTuple):
    """Where a figure stands and how.

    Attributes:
        x_m, y_m: On the floor.
        heading: Where it goes: 0 away from the camera, pi / 2 to the right.
        phase: Of its walk; 2 pi are two steps.
        stride: 0 stands, 1 walks.
    """

    x_m: float
    y_m: float
    heading: float
    phase: float
    stride: float = 1.0


def figure(look: Look, at: Stance, camera: Camera) -> list[Stroke]:
    """Return the strokes of a figure, in the order in which they are drawn."""
    parts = _parts(look, at)
    local = np.array([point for points, _, _ in parts for point in points])
    local[:, :2] *= look.height_m
    forward = np.array([math.sin(at.heading), math.cos(at.heading)])
    right = np.array([forward[1], -forward[0]])
    world = np.empty_like(local)
    world[:, :2] = (at.x_m, at.y_m) + local[:, :1] * right + local[:, 1:2] * forward
    world[:, 2] = local[:, 2] * look.height_m
    seen, scale = camera.project(world)
    strokes, nearness, i = [], [], 0
    for points, width, color in parts:
        span = slice(i, i + len(points))
        i = span.stop
        px = width * look.height_m * float(scale[span].mean())
        shade = 1.0 + 0.25 * float(np.clip(right[0] * local[span, 0].mean() * 4, -0.6, 0.6))
        strokes.append(Stroke(seen[span], px, _color(np.array(color) * shade)))
        nearness.append(float(scale[span].mean()))
    return [strokes[k] for k in np.argsort(nearness, kind="stable")]


def bounds(strokes: list[Stroke]) -> Box:
    """Return left, top, right, bottom of what is drawn, px."""
    low = np.min([s.points.min(axis=0) - s.width / 2 for s in strokes], axis=0)
    high = np.max([s.points.max(axis=0) + s.width / 2 for s in strokes], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def paint(image: Pixels, strokes: list[Stroke]) -> None:
    """Draw strokes into a picture [height, width, 3]."""
    for points, width, color in strokes:
        fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
        if width == 0:
            cv2.fillPoly(image, [fixed], color, cv2.LINE_AA, _SHIFT)
        else:
            cv2.polylines(image, [fixed], False, color, max(1, round(width)), cv2.LINE_AA, _SHIFT)


_Part = tuple[list[tuple[float, float, float]], float, Color]


def _parts(look: Look, at: Stance) -> list[_Part]:
    """Return the parts: points (right, forward, up), width, in parts of the height; colour."""
    parts: list[_Part] = []
    bob = 0.012 * at.stride * math.cos(2 * at.phase)
    hip, shoulder, wide = 0.52 + bob, 0.81 + bob, 0.1 * look.girth
    for side in (-1.0, 1.0):
        swing = at.stride * math.sin(at.phase + (0.0 if side > 0 else math.pi))
        lift = at.stride * max(0.0, math.cos(at.phase + (0.0 if side > 0 else math.pi)))
        parts += _leg(look, side * 0.05 * look.girth, hip, swing, lift)
        parts += _arm(look, side * (wide + 0.02), shoulder, -swing)
    spine = [(0.0, 0.0, hip), (0.0, 0.01, shoulder - 0.03)]
    parts.append((spine, 0.13 * look.girth, look.top))
    trunk = [(-wide, 0.0, shoulder - 0.02), (wide, 0.0, shoulder - 0.02)]
    trunk += [(0.085 * look.girth, 0.0, hip - 0.02), (-0.085 * look.girth, 0.0, hip - 0.02)]
    parts.append((trunk, 0.0, look.top))
    parts.append((trunk[:2], 0.075, look.top))
    if look.skirt:
        hem, z = 0.12 * look.girth, hip - look.skirt
        parts.append(([*trunk[2:], (-hem, 0.0, z), (hem, 0.0, z)], 0.0, look.top))
        parts.append(([(0.0, 0.0, hip), (0.0, 0.0, z + 0.05)], 0.14 * look.girth, look.top))
    return parts + _head(look, shoulder) + _load(look, hip, shoulder)


def _leg(look: Look, x: float, hip: float, swing: float, lift: float) -> list[_Part]:
    knee = (x, 0.1 * swing + 0.06 * lift, 0.285 + 0.03 * lift)
    ankle = (x, 0.19 * swing - 0.04 * lift, 0.045 + 0.05 * lift)
    toe = (x * 1.2, ankle[1] + 0.09, ankle[2] - 0.02)
    return [
        ([ankle, toe], 0.05, look.shoes),
        ([(x, 0.0, hip), knee], 0.095 * look.girth, look.trousers),
        ([knee, ankle], 0.065 * look.girth, look.trousers),
    ]


def _arm(look: Look, x: float, shoulder: float, swing: float) -> list[_Part]:
    elbow = (x * 1.1, 0.06 * swing - 0.02, shoulder - 0.17)
    hand = (x * 1.1, 0.15 * swing + 0.05, shoulder - 0.31)
    lower = look.top if look.sleeves > 0.5 else look.skin
    return [
        ([hand, hand], 0.05, look.skin),
        ([elbow, hand], 0.045, lower),
        ([(x, 0.0, shoulder - 0.03), elbow], 0.06 * look.girth, look.top),
    ]


def _head(look: Look, shoulder: float) -> list[_Part]:
    z = shoulder + 0.11
    head: list[_Part] = [
        ([(0.0, 0.0, shoulder - 0.02), (0.0, 0.01, z - 0.04)], 0.06, look.skin),
        ([(0.0, -0.025, z - 0.02), (0.0, -0.02, z + 0.025)], 0.1, look.hair),
        ([(0.0, 0.0, z + 0.03), (0.0, -0.01, z + 0.03)], 0.1, look.hair),
        ([(0.0, 0.025, z - 0.025), (0.0, 0.025, z + 0.01)], 0.085, look.skin),
    ]
    if look.hat:
        head.append(([(0.0, 0.04, z + 0.04), (0.0, -0.03, z + 0.045)], 0.1, look.bag))
    return head


def _load(look: Look, hip: float, shoulder: float) -> list[_Part]:
    if look.carries == "pack":
        back = [(0.0, -0.1, shoulder - 0.08), (0.0, -0.1, hip + 0.06)]
        return [(back, 0.15, look.bag)]
    if look.carries == "bag":
        x = 0.16
        corners = [(x, -0.08, 0.43), (x, 0.1, 0.43), (x, 0.1, 0.3), (x, -0.08, 0.3)]
        return [(corners, 0.0, look.bag), ([*corners, corners[0]], 0.03, look.bag)]
    if look.carries == "case":
        low, high = [(0.1, -0.3, 0.05), (0.1, -0.3, 0.3)], [(0.1, -0.3, 0.3), (0.13, -0.05, 0.45)]
        return [(low, 0.16, look.bag), (high, 0.012, (60.0, 60.0, 60.0))]
    return []


def _cloth(rng: np.random.Generator, brightness: float = 1.0) -> Color:
    """Return a colour of clothes: often dark or grey, sometimes bright."""
    grey = rng.uniform(15, 235)
    tint = rng.normal(0, 1, 3)
    return _color((grey + tint * rng.choice([6, 35, 75], p=[0.4, 0.35, 0.25])) * brightness)


def _color(values: NDArray[np.float64]) -> Color:
    b, g, r = np.clip(values, 0, 255).tolist()
    return b, g, r
