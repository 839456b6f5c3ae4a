"""Generated pictures of people in rooms that vary widely, with the truth: what is learnt from.

Everything is drawn: no picture of a real person or place is in it. A seed gives a picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.demo.figures import Camera, Color, Look, Pixels, Stance, Stroke, bounds, figure, paint

SIZE = (320, 192)
MIN_SEEN = 0.35
"""Of a figure that is hidden more than this nothing is said, right or wrong."""
MIN_HEIGHT_PX = 20
GREY = 114


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and what is in it.

    Attributes:
        image: uint8 [192, 320, 3], BGR.
        boxes: float32 [n, 4], the people in it: left, top, right, bottom, px.
        unsure: float32 [m, 4], people of whom too little is seen.
    """

    image: Pixels
    boxes: NDArray[np.float32]
    unsure: NDArray[np.float32]


def sample(seed: int) -> Sample:
    """Return the picture of a seed."""
    rng = np.random.default_rng(seed)
    ratio = rng.choice([16 / 9, 4 / 3, 320 / 192], p=[0.7, 0.15, 0.15])
    width, height = min(320, round(192 * ratio)), min(192, round(320 / ratio))
    camera = _camera(rng, (width, height))
    image = _room(rng, camera)
    owner = np.zeros((height, width, 3), np.uint8)
    things = _things(rng, camera)
    people = _people(rng, camera)
    queue: list[tuple[float, int, list[Stroke]]] = [(y, 0, strokes) for y, strokes in things]
    queue += [(y, i + 1, strokes) for i, (y, strokes) in enumerate(people)]
    painted = {}
    for _, number, strokes in sorted(queue, key=lambda each: -each[0]):
        mark = float(number)
        if number and rng.random() < 0.8:
            _shadow(rng, image, strokes)
        alone = np.zeros((height, width, 3), np.uint8)
        paint(alone, [s._replace(color=(255.0, 255.0, 255.0)) for s in strokes])
        paint(image, strokes)
        mask = alone[..., 0] > 127
        owner[..., 0][mask] = mark
        if number:
            _weave(rng, image, mask)
            painted[number] = int(mask.sum())
    seen = {n: int((owner[..., 0] == n).sum()) / max(1, whole) for n, whole in painted.items()}
    boxes, unsure = _truth([strokes for _, strokes in people], seen, (width, height))
    image = _weather(rng, image)
    whole = np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8)
    left, top = (SIZE[0] - width) // 2, (SIZE[1] - height) // 2
    whole[top : top + height, left : left + width] = image
    move = np.array([left, top, left, top], np.float32)
    return Sample(whole, boxes + move, unsure + move)


def _camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    height_m = float(rng.uniform(1.6, 5.0))
    pitch = math.radians(float(rng.uniform(5, 25 + 5 * height_m)))
    return Camera(size, height_m, pitch, float(rng.uniform(0.5, 1.1)))


def _people(rng: np.random.Generator, camera: Camera) -> list[tuple[float, list[Stroke]]]:
    """Return people somewhere in the picture: distance and strokes."""
    people = []
    for _ in range(int(rng.choice([0, 1, 2, 3, 5, 8], p=[0.12, 0.3, 0.25, 0.18, 0.1, 0.05]))):
        x_m, y_m = _place(rng, camera)
        walk = Stance(
            x_m,
            y_m,
            float(rng.uniform(-math.pi, math.pi)),
            float(rng.uniform(0, 2 * math.pi)),
            float(rng.choice([0.0, 0.6, 1.0, 1.2])),
        )
        people.append((y_m, figure(Look.chosen(rng), walk, camera)))
    return people


def _place(rng: np.random.Generator, camera: Camera) -> tuple[float, float]:
    """Return a point of the floor that is seen, or a little beside."""
    for _ in range(20):
        y_m = float(rng.uniform(0.5, 14.0))
        seen, scale = camera.project(np.array([[0.0, y_m, 0.0], [0.0, y_m, 1.7]]))
        down, tall = seen[0, 1], seen[0, 1] - seen[1, 1]
        if seen[1, 1] < 0.8 * camera.size[1] and down > 0 and 1.2 * MIN_HEIGHT_PX < tall < 230:
            break
    half = camera.size[0] / 2 / float(scale[0])
    return float(rng.uniform(-1.05, 1.05)) * half, y_m


def _truth(
    people: list[list[Stroke]], seen: dict[int, float], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the boxes of people that are well seen, and of the others."""
    boxes: list[NDArray[np.float64]] = []
    unsure: list[NDArray[np.float64]] = []
    for number, strokes in enumerate(people, 1):
        whole = bounds(strokes)
        box = np.clip(whole, 0, [*size, *size])
        width, height = box[2] - box[0], box[3] - box[1]
        if width < 2 or height < 4:
            continue
        inside = width * height / ((whole[2] - whole[0]) * (whole[3] - whole[1]))
        good = seen[number] >= MIN_SEEN and inside >= MIN_SEEN and height >= MIN_HEIGHT_PX
        (boxes if good else unsure).append(box)
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(unsure, np.float32).reshape(-1, 4),
    )


def _any(rng: np.random.Generator) -> Color:
    grey, tint = rng.uniform(20, 240), rng.normal(0, rng.choice([5, 30]), 3)
    b, g, r = np.clip(grey + tint, 0, 255).tolist()
    return b, g, r


def _room(rng: np.random.Generator, camera: Camera) -> Pixels:
    """Return floor and walls, with stripes, tiles, pictures and light."""
    width, height = camera.size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.array(_any(rng))
    back = float(rng.uniform(4, 16))
    edge, _ = camera.project(np.array([[0.0, back, 0.0]]))
    floor_top = int(np.clip(edge[0, 1], -1, height))
    image[max(0, floor_top) :] = np.array(_any(rng))
    if rng.random() < 0.7:
        _lines(rng, image, camera, back)
    for _ in range(int(rng.integers(0, 9))):
        _patch(rng, image, floor_top)
    if rng.random() < 0.5:
        noise = cv2.resize(
            rng.normal(0, rng.uniform(4, 22), (int(rng.integers(3, 40)), 24, 3)), (width, height)
        )
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image


def _lines(rng: np.random.Generator, image: Pixels, camera: Camera, back: float) -> None:
    """Draw the joints of tiles or boards."""
    step, color = float(rng.uniform(0.15, 1.2)), _any(rng)
    ends = [((x, 0.3), (x, back)) for x in np.arange(-9, 9, step)]
    if rng.random() < 0.6:
        ends += [((-9.0, y), (9.0, y)) for y in np.arange(0.3, back, step)]
    if rng.random() < 0.3:
        ends = [((b, a), (d, c)) for (a, b), (c, d) in ends]
    for start, end in ends:
        steps = np.linspace(0, 1, 6)[:, None]
        flat = np.array(start) * (1 - steps) + np.array(end) * steps
        flat[:, 1] = np.clip(flat[:, 1], 0.3, back)
        seen, _ = camera.project(np.hstack([flat, np.zeros((6, 1))]))
        paint(image, [Stroke(np.clip(seen, -3000, 3000), 1.0, color)])


def _patch(rng: np.random.Generator, image: Pixels, floor_top: int) -> None:
    """Draw a window, a door, a picture, a mat or a board with things on it."""
    height, width = image.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(-20, height if rng.random() < 0.3 else floor_top + 1)
    w, h = rng.uniform(6, 110), rng.uniform(6, 120)
    skew = rng.uniform(-0.3, 0.3) * h
    corners = np.array([[x, y], [x + w, y + skew], [x + w, y + h + skew], [x, y + h]])
    paint(image, [Stroke(corners, 0.0, _any(rng))])
    if rng.random() < 0.5:
        paint(image, [Stroke(np.vstack([corners, corners[:1]]), rng.uniform(1, 4), _any(rng))])
    if rng.random() < 0.4:  # shelves: rows of small things
        for k in range(int(rng.integers(2, 30))):
            at = np.array([x + w * rng.random(), y + h * (k % 4) / 4])
            size = rng.uniform(2, 10, 2)
            goods = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size + at
            paint(image, [Stroke(goods, 0.0, _any(rng))])


def _things(rng: np.random.Generator, camera: Camera) -> list[tuple[float, list[Stroke]]]:
    """Return things that are no people: distance and strokes."""
    kinds = (_box, _box, _pole, _plant, _chair, _animal, _trolley, _blob)
    things = []
    for _ in range(int(rng.integers(0, 7))):
        x_m, y_m = _place(rng, camera)
        kind = kinds[rng.integers(len(kinds))]
        things.append((y_m, kind(rng, camera, x_m, y_m)))
    return things


def _turned(
    rng: np.random.Generator, points: Sequence[tuple[float, ...]], x: float, y: float
) -> NDArray[np.float64]:
    turn = float(rng.uniform(0, 2 * math.pi))
    cos, sin = math.cos(turn), math.sin(turn)
    flat = np.array(points, float)
    spun = flat[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return np.hstack([spun, flat[:, 2:]])


def _box(rng: np.random.Generator, camera: Camera, x: float, y: float) -> list[Stroke]:
    a, b, h = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.6), rng.uniform(0.2, 2.2)
    corners = [(i, j, k) for k in (0.0, h) for i, j in ((-a, -b), (a, -b), (a, b), (-a, b))]
    seen, scale = camera.project(_turned(rng, corners, x, y))
    color = np.array(_any(rng))
    faces = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7)]
    order = sorted(faces[:4], key=lambda f: float(scale[list(f)].mean()))
    strokes = []
    for face in [*order, faces[4]]:
        b_, g, r = np.clip(color * rng.uniform(0.6, 1.2), 0, 255).tolist()
        strokes.append(Stroke(seen[list(face)], 0.0, (b_, g, r)))
    return strokes


def _limbs(
    rng: np.random.Generator,
    camera: Camera,
    at: tuple[float, float],
    parts: list[tuple[list[tuple[float, ...]], float, Color]],
) -> list[Stroke]:
    turn = np.random.default_rng(int(rng.integers(1 << 30)))
    state = turn.bit_generator.state
    strokes = []
    for points, width, color in parts:
        turn.bit_generator.state = state  # the same turn for each part
        seen, scale = camera.project(_turned(turn, points, *at))
        strokes.append(Stroke(seen, width * float(scale.mean()), color))
    return strokes


def _pole(rng: np.random.Generator, camera: Camera, x: float, y: float) -> list[Stroke]:
    h, w = rng.uniform(0.8, 4.0), rng.uniform(0.03, 0.5)
    parts: list[tuple[list[tuple[float, ...]], float, Color]] = [
        ([(0, 0, 0), (0, 0, h)], w, _any(rng))
    ]
    if rng.random() < 0.5:
        parts.append(([(0, 0, h), (0.02, 0, h + 0.02)], w + rng.uniform(0.05, 0.4), _any(rng)))
    if rng.random() < 0.5:
        parts += [
            ([(0, 0, 0.02), (math.cos(a) * 0.3, math.sin(a) * 0.3, 0.02)], 0.06, parts[0][2])
            for a in (0, 1.6, 3.1, 4.7)
        ]
    return _limbs(rng, camera, (x, y), parts)


def _plant(rng: np.random.Generator, camera: Camera, x: float, y: float) -> list[Stroke]:
    h, w = rng.uniform(0.4, 1.0), rng.uniform(0.15, 0.35)
    parts: list[tuple[list[tuple[float, ...]], float, Color]] = [
        ([(0, 0, w / 2), (0, 0, w)], w, _any(rng))
    ]
    for _ in range(int(rng.integers(5, 16))):
        angle, lean = rng.uniform(0, 6.3), rng.uniform(0.05, 0.5)
        green = (rng.uniform(10, 80), rng.uniform(60, 170), rng.uniform(10, 110))
        tip = (math.cos(angle) * lean, math.sin(angle) * lean, w + h * rng.uniform(0.5, 1.2))
        parts.append(([(0, 0, w), tip], rng.uniform(0.03, 0.2), green))
    return _limbs(rng, camera, (x, y), parts)


def _chair(rng: np.random.Generator, camera: Camera, x: float, y: float) -> list[Stroke]:
    s, h, color = rng.uniform(0.2, 0.5), rng.uniform(0.4, 0.9), _any(rng)
    feet = [(-s, -s), (s, -s), (s, s), (-s, s)]
    parts: list[tuple[list[tuple[float, ...]], float, Color]] = [
        ([(a, b, 0.0), (a, b, h)], 0.04, color) for a, b in feet
    ]
    parts.append(([(a, b, h) for a, b in feet], 0.0, _any(rng)))
    if rng.random() < 0.6:
        parts.append(([(-s, s, h), (s, s, h), (s, s, 2 * h), (-s, s, 2 * h)], 0.0, color))
    return _limbs(rng, camera, (x, y), parts)


def _animal(rng: np.random.Generator, camera: Camera, x: float, y: float) -> list[Stroke]:
    s, color = rng.uniform(0.25, 0.7), _any(rng)
    step = rng.uniform(-0.2, 0.2)
    parts: list[tuple[list[tuple[float, ...]], float, Color]] = [
        ([(a, b * s, 0.6 * s), (a, b * s + step * s, 0.0)], 0.1 * s, color)
        for a in (-0.1 * s, 0.1 * s)
        for b in (-0.5, 0.5)
    ]
    parts.append(([(0, -0.5 * s, 0.7 * s), (0, 0.5 * s, 0.7 * s)], 0.35 * s, color))
    parts.append(([(0, 0.6 * s, 0.9 * s), (0, 0.8 * s, 0.95 * s)], 0.25 * s, color))
    parts.append(([(0, -0.5 * s, 0.8 * s), (0, -0.9 * s, 1.0 * s)], 0.06 * s, color))
    return _limbs(rng, camera, (x, y), parts)


def _trolley(rng: np.random.Generator, camera: Camera, x: float, y: float) -> list[Stroke]:
    color = _any(rng)
    low, high = 0.35, rng.uniform(0.7, 1.1)
    base = [(-0.25, -0.4), (0.25, -0.4), (0.25, 0.4), (-0.25, 0.4)]
    rails: list[tuple[list[tuple[float, ...]], float, Color]] = []
    for z in np.linspace(low, high, 5):
        ring = [(a, b, float(z)) for a, b in base]
        rails.append(([*ring, ring[0]], 0.02, color))
    rails += [([(a, b, 0.0), (a, b, high)], 0.03, color) for a, b in base]
    return _limbs(rng, camera, (x, y), rails)


def _blob(rng: np.random.Generator, camera: Camera, x: float, y: float) -> list[Stroke]:
    """Return something round: a bin, a ball, a balloon, a lamp."""
    z, w = rng.uniform(0.1, 2.5), rng.uniform(0.1, 0.7)
    top = z + rng.uniform(0, 0.5)
    return _limbs(rng, camera, (x, y), [([(0, 0, z), (0, 0, top)], w, _any(rng))])


def _shadow(rng: np.random.Generator, image: Pixels, strokes: list[Stroke]) -> None:
    """Darken the floor beside a figure: a flat copy of it, thrown to a side."""
    left, top, right, bottom = bounds(strokes)
    lean, flat = rng.uniform(-1.2, 1.2), rng.uniform(-0.5, 0.5)
    foot = np.array([(left + right) / 2, bottom - 0.03 * (bottom - top)])
    mask = np.zeros((*image.shape[:2], 1), np.uint8)
    thrown = []
    for stroke in strokes:
        up = foot[1] - stroke.points[:, 1]
        moved = np.stack([stroke.points[:, 0] + lean * up, foot[1] - flat * up], axis=1)
        thrown.append(stroke._replace(points=moved, width=stroke.width, color=(255.0, 0.0, 0.0)))
    paint(mask, thrown)
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.8, 5)))
    dark = 1 - soft[..., None].astype(np.float32) / 255 * np.float32(rng.uniform(0.1, 0.5))
    image[:] = (image * dark).astype(np.uint8)


def _weave(rng: np.random.Generator, image: Pixels, mask: NDArray[np.bool_]) -> None:
    """Give a figure folds, patterns and light, so that it is not flat."""
    if rng.random() < 0.25 or not mask.any():
        return
    height, width = mask.shape
    rows, columns = int(rng.integers(8, 60)), int(rng.integers(8, 90))
    noise = cv2.resize(rng.normal(0, rng.uniform(5, 30), (rows, columns)), (width, height))
    slope = np.linspace(-1, 1, width) * rng.normal(0, 40)
    lit = np.clip(image[mask] + (noise + slope)[mask][:, None], 0, 255)
    image[mask] = lit.astype(np.uint8)


def _weather(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Give a picture light, blur, noise and the marks of JPEG."""
    height, width = image.shape[:2]
    light = rng.uniform(0.45, 1.35) * (1 + rng.normal(0, 0.06, 3))
    ramp = 1 + rng.normal(0, 0.2) * np.linspace(-1, 1, width)[None, :, None]
    ramp = ramp + rng.normal(0, 0.2) * np.linspace(-1, 1, height)[:, None, None]
    picture: NDArray[Any] = np.clip(image * (light * ramp) + rng.normal(0, 12), 0, 255)
    if rng.random() < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.3)))
    if rng.random() < 0.7:
        picture = picture + rng.normal(0, rng.uniform(1, 9), picture.shape)
    if rng.random() < 0.08:
        picture = picture.mean(axis=2, keepdims=True).repeat(3, axis=2)
    done: Pixels = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        read = cv2.imdecode(cv2.imencode(".jpg", done, quality)[1], cv2.IMREAD_COLOR)
        done = np.asarray(read, np.uint8)
    return done
