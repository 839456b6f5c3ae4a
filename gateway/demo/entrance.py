"""The shop's entrance that the demo's camera looks at: a room without people."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.demo.figures import Camera, Color, Pixels, Stroke, paint

CAMERA_HEIGHT_M = 2.9
PITCH = math.radians(23)
FOCAL = 0.66
"""The camera; the rest of the module is in metres of its world."""
HALF_M = 3.4
BACK_M = 10.5
FRONT_M = 0.4
CEILING_M = 3.3
DOOR = (0.0, BACK_M - 0.1)
PLANT = (-2.35, 7.0)
RACK = (2.55, 5.2)

Spot = tuple[float, float, float]


def room(camera: Camera) -> Pixels:
    """Return the picture of the empty room."""
    width, height = camera.size
    image = np.full((height, width, 3), 200, np.uint8)
    _shell(image, camera)
    _tiles(image, camera)
    _shelves(image, camera)
    _door(image, camera)
    cv2.GaussianBlur(image, (0, 0), 0.6, image)
    return _lit(image, camera)


def foreground(camera: Camera) -> list[tuple[float, list[Stroke]]]:
    """Return what people may walk behind: distance and strokes."""
    return [(PLANT[1], _plant(camera)), (RACK[1], _rack(camera))]


def _seen(camera: Camera, spots: list[Spot]) -> NDArray[np.float64]:
    seen, _ = camera.project(np.array(spots, float))
    return np.clip(seen, -4000, 4000)


def _face(image: Pixels, camera: Camera, spots: list[Spot], color: Color) -> None:
    paint(image, [Stroke(_seen(camera, spots), 0.0, color)])


def _line(image: Pixels, camera: Camera, spots: list[Spot], width: float, color: Color) -> None:
    paint(image, [Stroke(_seen(camera, spots), width * camera.size[0] / 640, color)])


def _shell(image: Pixels, camera: Camera) -> None:
    """Draw floor, walls and ceiling."""
    a, near, far, top = HALF_M, FRONT_M, BACK_M, CEILING_M
    _face(image, camera, [(-9, near, 0), (9, near, 0), (9, far, 0), (-9, far, 0)], (168, 182, 192))
    _face(
        image, camera, [(-a, far, 0), (a, far, 0), (a, far, top), (-a, far, top)], (206, 214, 218)
    )
    for side, color in ((-a, (186, 198, 206)), (a, (176, 188, 198))):
        wall: list[Spot] = [(side, 6.2, 0), (side, far, 0), (side, far, top), (side, 6.2, top)]
        _face(image, camera, wall, color)
        _line(image, camera, [(side, 6.2, 0.05), (side, far, 0.05)], 3, (110, 125, 138))
    ceiling: list[Spot] = [(-9, 6.0, top), (9, 6.0, top), (a, far, top), (-a, far, top)]
    _face(image, camera, ceiling, (226, 229, 230))
    _line(image, camera, [(-a, far, 0.05), (a, far, 0.05)], 2, (110, 125, 138))


def _tiles(image: Pixels, camera: Camera) -> None:
    """Draw the floor's joints."""
    joint = (146, 160, 171)
    for x in np.arange(-9.0, 9.1, 0.75).tolist():
        _line(image, camera, [(x, FRONT_M, 0), (x, BACK_M, 0)], 1, joint)
    for y in np.arange(FRONT_M, BACK_M, 0.75).tolist():
        _line(image, camera, [(-9, y, 0), (9, y, 0)], 1, joint)
    mat: list[Spot] = [(-1.2, 8.3, 0), (1.2, 8.3, 0), (1.2, 10.2, 0), (-1.2, 10.2, 0)]
    _face(image, camera, mat, (92, 84, 80))
    _line(image, camera, [*mat, mat[0]], 2, (120, 112, 108))


def _shelves(image: Pixels, camera: Camera) -> None:
    """Draw shelves with goods along both walls."""
    rng = np.random.default_rng(5)
    for side in (-1, 1):
        x = side * (HALF_M - 0.05)
        board: list[Spot] = [(x, 6.9, 0.1), (x, 9.9, 0.1), (x, 9.9, 2.0), (x, 6.9, 2.0)]
        _face(image, camera, board, (105, 128, 150))
        for level in (0.15, 0.62, 1.09, 1.56):
            y = 9.85
            while y > 7.05:
                w, h = float(rng.uniform(0.1, 0.24)), float(rng.uniform(0.2, 0.4))
                color = _goods(rng)
                ends = (y, y - w)
                goods: list[Spot] = [(x, ends[0], level), (x, ends[1], level)]
                goods += [(x, ends[1], level + h), (x, ends[0], level + h)]
                _face(image, camera, goods, color)
                y -= w + 0.03
            _line(image, camera, [(x, 6.9, level), (x, 9.9, level)], 2, (78, 98, 120))


def _goods(rng: np.random.Generator) -> Color:
    """Return a colour of goods: not pale, not glaring."""
    hue, saturation, value = rng.integers(180), rng.integers(50, 150), rng.integers(120, 215)
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    b, g, r = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return b, g, r


def _door(image: Pixels, camera: Camera) -> None:
    """Draw the open glass door with the street behind it, and a sign above."""
    y, half, top = BACK_M, 1.25, 2.35

    def pane(left: float, right: float, low: float, high: float, color: Color) -> None:
        corners: list[Spot] = [(left, y, low), (right, y, low), (right, y, high), (left, y, high)]
        _face(image, camera, corners, color)

    pane(-half - 0.12, half + 0.12, 0, top + 0.12, (84, 78, 74))
    pane(-half, half, 0.75, top, (236, 224, 206))
    pane(-half, half, 0.0, 0.75, (188, 190, 190))
    pane(-0.9, -0.35, 0.75, 1.75, (202, 204, 196))
    pane(0.3, 1.1, 0.75, 1.5, (198, 196, 204))
    pane(0.0, 0.05, 0.0, top, (150, 148, 146))
    pane(-1.5, 1.5, 2.62, 3.0, (96, 122, 62))
    for x in (-2.9, 2.0):  # windows beside it
        pane(x, x + 0.95, 0.9, 2.35, (84, 78, 74))
        pane(x + 0.06, x + 0.89, 0.96, 2.29, (226, 216, 200))


def _lit(image: Pixels, camera: Camera) -> Pixels:
    """Return a picture with the daylight of the door on the floor, and darker corners."""
    width, height = camera.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    glow, _ = camera.project(np.array([[0.0, 8.6, 0.0]]))
    across = (x - glow[0, 0]) / (0.22 * width)
    down = (y - glow[0, 1]) / (0.3 * height)
    light = 0.93 + 0.16 * np.exp(-(across**2) - down**2)
    corner = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 0.42
    lit = image * (light - corner)[..., None]
    done: Pixels = np.clip(lit, 0, 255).astype(np.uint8)
    return done


def _plant(camera: Camera) -> list[Stroke]:
    """Return a plant in a pot, tall enough to hide someone."""
    rng = np.random.default_rng(3)
    x, y = PLANT
    strokes = [_bar(camera, [(x, y, 0.2), (x, y, 0.42)], 0.5, (96, 108, 120))]
    strokes.append(_bar(camera, [(x, y, 0.5), (x, y, 1.1)], 0.05, (40, 70, 84)))
    for _ in range(34):
        turn, lean, up = rng.uniform(0, 6.28), rng.uniform(0.1, 0.55), rng.uniform(0.7, 1.85)
        tip = (x + lean * math.cos(turn), y + lean * math.sin(turn), up)
        shade = float(rng.uniform(0.6, 1.15))
        leaf = (58 * shade, 122 * shade, 70 * shade)
        strokes.append(_bar(camera, [(x, y, 0.7 * up), tip], float(rng.uniform(0.05, 0.11)), leaf))
    return strokes


def _rack(camera: Camera) -> list[Stroke]:
    """Return a stand with offers in the middle of the shop."""
    x, y = RACK
    strokes = []
    low, high = (x - 0.5, x + 0.5), (y - 0.25, y + 0.25)
    for top, color in ((0.45, (120, 150, 178)), (0.85, (108, 138, 166))):
        front: list[Spot] = [(low[0], high[0], top - 0.45), (low[1], high[0], top - 0.45)]
        front += [(low[1], high[0], top), (low[0], high[0], top)]
        strokes.append(Stroke(_seen(camera, front), 0.0, color))
    lid: list[Spot] = [(low[0], high[0], 0.85), (low[1], high[0], 0.85)]
    lid += [(low[1], high[1], 0.85), (low[0], high[1], 0.85)]
    strokes.append(Stroke(_seen(camera, lid), 0.0, (150, 176, 200)))
    for k in range(10):
        at = (low[0] + 0.1 + 0.2 * (k % 5), high[0] + 0.12 + 0.24 * (k // 5), 0.9)
        color = ((60, 70, 190), (70, 160, 90), (60, 170, 215))[k % 3]
        strokes.append(_bar(camera, [at, (at[0] + 0.02, at[1], 0.93)], 0.15, color))
    return strokes


def _bar(camera: Camera, spots: list[Spot], width_m: float, color: Color) -> Stroke:
    seen, scale = camera.project(np.array(spots, float))
    return Stroke(seen, width_m * float(scale.mean()), color)
