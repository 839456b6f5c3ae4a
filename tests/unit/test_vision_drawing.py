"""Snapshots: that what was seen is drawn, on pictures of all sizes."""

import numpy as np
import pytest

from gateway.inference.vision.drawing import draw
from gateway.model import Points, Seen

PERSON = Seen((0.25, 0.25, 0.5, 0.75), "person", 0.9, track=7)
LINE: dict[str, Points] = {"door": ((0.6, 0.5), (0.9, 0.5))}
ZONE: dict[str, Points] = {"hall": ((0.6, 0.2), (0.9, 0.2), (0.9, 0.8), (0.6, 0.8))}


def grey(width: int, height: int) -> np.ndarray:
    image = np.full((height, width, 3), 128, np.uint8)
    image.setflags(write=False)
    return image


def changed(image: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return np.asarray((image != drawn).any(axis=2))


@pytest.mark.parametrize("size", [(320, 240), (768, 432), (1920, 1080), (3840, 2160), (32, 24)])
def test_box_is_drawn_at_its_edges_when_an_object_was_seen(size: tuple[int, int]) -> None:
    image = grey(*size)
    drawn = draw(image, [PERSON], {}, {})
    assert drawn.shape == image.shape
    assert (image == 128).all()
    marks = changed(image, drawn)
    width, height = size
    assert marks[round((height - 1) * 0.75), round((width - 1) * 0.4)]  # the lower edge
    assert marks[round((height - 1) * 0.7), round((width - 1) * 0.5)]  # the right edge
    if width > 100:
        assert not marks[round(height * 0.6), round(width * 0.4)]  # its middle is left to see


def test_zone_is_tinted_inside_when_there_is_one() -> None:
    image = grey(768, 432)
    marks = changed(image, draw(image, [], ZONE, {}))
    assert marks[216, 576]
    assert not marks[216, 100]


def test_arrow_points_to_the_right_of_the_line_when_it_goes_rightwards() -> None:
    image = grey(768, 432)
    marks = changed(image, draw(image, [], LINE, {}))
    below, above = marks[222:250, 560:592].sum(), marks[182:210, 560:592].sum()
    assert below > above == 0


def test_numbers_are_at_their_place_or_in_the_corner_when_given() -> None:
    image = grey(768, 432)
    bare = draw(image, [], LINE, {})
    own = draw(image, [], LINE, {"door_in": 3, "door_out": 12})
    other = draw(image, [], LINE, {"queue_s": 4.5})
    assert changed(bare, own)[150:216, 460:].any()
    assert not changed(bare, own)[:100, :200].any()
    assert changed(bare, other)[:40, :200].any()


@pytest.mark.parametrize(
    "seen",
    [
        Seen((0, 0, 1, 1), "x" * 200, 1.0),
        Seen((0.99, 0.0, 1.0, 0.01), "ß日本", 0.5),
        Seen((0.5, 0.5, 0.5, 0.5), "", 0.0),
    ],
)
def test_text_stays_in_the_picture_when_there_is_no_room(seen: Seen) -> None:
    assert draw(grey(320, 240), [seen], {"a": ((0.5, 0.5), (0.5, 0.5)), "b": ()}, {}).any()
