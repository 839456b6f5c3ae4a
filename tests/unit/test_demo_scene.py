import time
from itertools import pairwise

import numpy as np
import pytest

from gateway.demo.figures import Camera, Look, Stance, bounds, figure, paint
from gateway.demo.scene import FPS, LINE, Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(seed=1)


def test_frames_are_the_same_when_drawn_again_in_another_order(scene: Scene) -> None:
    later, sooner = scene.frame(40.3), scene.frame(12.0)
    anew = Scene(seed=1)
    assert np.array_equal(anew.frame(12.0), sooner)
    assert np.array_equal(anew.frame(40.3), later)


def test_people_are_others_when_the_seed_is_another(scene: Scene) -> None:
    assert scene.people(30.0) != Scene(seed=2).people(30.0)


def test_frame_has_the_size_asked_for_when_it_is_not_the_usual() -> None:
    small = Scene(size=(320, 180))
    assert small.frame(3.0).shape == (180, 320, 3)
    assert small.frame(3.0).dtype == np.uint8


def test_truth_is_the_same_when_the_picture_has_another_size(scene: Scene) -> None:
    small = Scene(seed=1, size=(320, 180))
    assert small.crossings(30.0) == scene.crossings(30.0)
    for ours, theirs in zip(scene.people(20.0), small.people(20.0), strict=True):
        assert ours.box == pytest.approx(theirs.box, abs=0.01)


def test_box_holds_what_is_drawn_when_a_figure_walks() -> None:
    camera = Camera((640, 360), 2.9, 0.4, 0.66)
    for step in range(12):
        at = Stance(0.3, 5.0, heading=step / 2, phase=step / 2)
        strokes = figure(Look(carries="case"), at, camera)
        image = np.zeros((360, 640, 3), np.uint8)
        paint(image, strokes)
        rows, columns = np.nonzero(image.any(axis=2))
        left, top, right, bottom = bounds(strokes)
        drawn = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert drawn == pytest.approx((left, top, right, bottom), abs=4)


def test_truth_is_where_the_picture_changes_when_a_person_is_there(scene: Scene) -> None:
    empty = np.median([scene.frame(3.7 * i) for i in range(25)], axis=0)
    found = 0
    for time_s in np.arange(5.0, 60.0, 2.5).tolist():
        change = np.abs(scene.frame(time_s) - empty).max(axis=2)
        outside = np.ones(change.shape, bool)
        for person in scene.people(time_s):
            left, top, right, bottom = np.multiply(person.box, (640, 360, 640, 360)).astype(int)
            found += int(np.median(change[top:bottom, left:right]) > 15)
            # Beside it is its shadow.
            outside[max(0, top - 4) : bottom + 20, max(0, left - 25) : right + 25] = False
        assert np.mean(change[outside] > 60) < 0.001
    assert found >= 10


def test_people_come_and_go_when_time_passes(scene: Scene) -> None:
    crossings = scene.crossings(300.0)
    ways = [crossing.way for crossing in crossings]
    assert ways.count(1) >= 10
    assert ways.count(-1) >= 8
    assert all(a.time_s <= b.time_s for a, b in pairwise(crossings))
    assert len({crossing.id for crossing in crossings}) >= 0.9 * len(crossings)


def test_feet_change_sides_when_a_crossing_is_told(scene: Scene) -> None:
    for crossing in scene.crossings(60.0):
        before, after = (
            next(p.feet[1] for p in scene.people(time_s) if p.id == crossing.id)
            for time_s in (crossing.time_s - 1 / FPS, crossing.time_s)
        )
        assert (before < LINE[0][1] <= after) == (crossing.way == 1)


def test_nobody_crosses_when_the_line_is_where_nobody_walks(scene: Scene) -> None:
    assert scene.crossings(60.0, ((0.0, 0.01), (0.3, 0.01))) == []


def test_frame_is_cheap_when_it_is_drawn_for_a_live_camera(scene: Scene) -> None:
    begun = time.process_time()
    for i in range(30):
        scene.frame(30.0 + i / FPS)
    assert (time.process_time() - begun) / 30 < 0.025  # 3 ms on an idle core
