"""Snapshots: what was seen, and where it is counted, drawn over a picture."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.inference.vision.fitted import Pixels
from gateway.model import Points, Seen

Color = tuple[int, int, int]

_COLORS: tuple[Color, ...] = (
    (80, 200, 60), (60, 160, 250), (240, 170, 40), (200, 90, 220), (70, 220, 230), (250, 110, 110),
)  # fmt: skip
"""BGR, of the objects by their tracks; light, so that black letters stand on them."""
_PLACE: Color = (0, 220, 255)
_INK: Color = (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TINT = 0.2


def draw(
    image: Pixels,
    seen: Sequence[Seen],
    places: Mapping[str, Points],
    numbers: Mapping[str, float],
) -> NDArray[np.uint8]:
    """Return a copy of a picture with boxes, lines, zones and their numbers.

    Args:
        image: uint8 [height, width, 3], BGR; it is left as it is.
        seen: The objects in it.
        places: Lines (2 points) and zones (3 or more) by name, as parts of the picture.
        numbers: The counters' numbers by name (``door_in``). Those that begin with a place's name
            are written at it, the others in the picture's corner.
    """
    pen = _Pen(image.copy())
    pen.tint([points for points in places.values() if len(points) > 2])
    for one in seen:
        track = f" #{one.track}" if one.track else ""
        color = _COLORS[one.track % len(_COLORS)]
        pen.box(one.box, f"{one.label} {one.score:.2f}{track}", color)
    left = dict(numbers)
    for name, points in places.items():
        own = [key for key in left if key == name or key.startswith(f"{name}_")]
        told = [f"{key.removeprefix(name).lstrip('_')} {left.pop(key):g}".strip() for key in own]
        pen.place(points, "  ".join([name, *told]))
    pen.corner([f"{key} {value:g}" for key, value in left.items()])
    return pen.image


class _Pen:
    """Lines and letters in a width that suits the picture: 1 px at 320 x 240, 8 px at 4K."""

    def __init__(self, image: Pixels) -> None:
        self.image = image
        self._height, self._width = image.shape[:2]
        self._line = max(1, round(min(self._height, self._width) / 270))
        self._scale = max(0.35, min(self._height, self._width) / 900)
        self._weight = max(1, round(self._scale * 1.4))

    def tint(self, zones: Sequence[Points]) -> None:
        """Colour the zones lightly, so that one sees what is inside."""
        if not zones:
            return
        over = self.image.copy()
        for points in zones:
            cv2.fillPoly(over, [self._px(points)], _PLACE)
        cv2.addWeighted(over, _TINT, self.image, 1 - _TINT, 0, dst=self.image)

    def box(self, box: tuple[float, float, float, float], text: str, color: Color) -> None:
        """Draw an object, with its text above it, or inside where there is no room."""
        (left, top), (right, bottom) = self._px((box[:2], box[2:])).tolist()
        cv2.rectangle(self.image, (left, top), (right, bottom), color, self._line, cv2.LINE_AA)
        self._text(text, left, top, color)

    def place(self, points: Points, text: str) -> None:
        """Draw a line or zone; a line has an arrow from its left to its right, which is "in"."""
        if len(points) < 2:
            return
        pixels = self._px(points)
        cv2.polylines(self.image, [pixels], len(points) > 2, _PLACE, self._line, cv2.LINE_AA)
        if len(points) == 2:
            self._arrow(pixels)
        x, y = pixels[pixels[:, 1].argmin()].tolist()
        self._text(text, x, y, _PLACE)

    def corner(self, lines: Sequence[str]) -> None:
        """Write lines in the top left corner, from the top."""
        for number, line in enumerate(lines):
            (_, height), base = cv2.getTextSize(line, _FONT, self._scale, self._weight)
            self._text(line, 0, (number + 1) * (height + 2 * base), _PLACE)

    def _arrow(self, line: NDArray[np.int32]) -> None:
        start, end = line.astype(np.float64)
        along = end - start
        length = float(np.hypot(*along))
        if length < 1:
            return
        # Seen from the first point to the second, with y downwards, (-y, x) is to the right.
        right = np.array([-along[1], along[0]]) / length * min(self._height, self._width) / 15
        middle = (start + end) / 2
        tip = middle + right
        ends = [tuple(point.round().astype(int).tolist()) for point in (middle, tip)]
        cv2.arrowedLine(
            self.image, ends[0], ends[1], _PLACE, self._line, cv2.LINE_AA, tipLength=0.4
        )

    def _text(self, text: str, x: int, y: int, color: Color) -> None:
        """Write black letters on a bar whose lower left corner is at (x, y), inside the picture."""
        plain = text.encode("ascii", "replace").decode()  # the font has no more
        (width, height), base = cv2.getTextSize(plain, _FONT, self._scale, self._weight)
        tall = height + 2 * base
        left = max(0, min(x, self._width - width - 2 * base))
        bottom = max(tall, min(y, self._height))
        cv2.rectangle(
            self.image, (left, bottom - tall), (left + width + 2 * base, bottom), color, cv2.FILLED
        )
        at = (left + base, bottom - base)
        cv2.putText(self.image, plain, at, _FONT, self._scale, _INK, self._weight, cv2.LINE_AA)

    def _px(self, points: Sequence[Sequence[float]]) -> NDArray[np.int32]:
        extent = np.array([self._width - 1, self._height - 1])
        pixels: NDArray[np.int32] = np.rint(np.clip(points, 0, 1) * extent).astype(np.int32)
        return pixels
