"""Objects followed from frame to frame, with boxes made up for the purpose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.frame_sections import TrackSection
from gateway.inference.vision.steady import Steady
from gateway.inference.vision.tracks import MAX_TRACKS, Track, Tracker
from gateway.model import Seen

NS = 1_000_000_000


def box(x: float, y: float = 0.5, width: float = 0.1, height: float = 0.3) -> Seen:
    sides = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Seen(sides, "person", 0.9)


def follow(
    frames: list[list[Seen]], step_s: float = 0.1, *, min_score: float = 0.0, lost_s: float = 1.0
) -> list[list[Track]]:
    tracker = Tracker(TrackSection(lost_s=lost_s), min_score)
    return [tracker.update(seen, round(i * step_s * NS)) for i, seen in enumerate(frames)]


def ids(tracks: list[Track]) -> list[int]:
    return [track.id for track in tracks if track.confirmed]


@pytest.mark.parametrize("fps", [2, 3, 5, 10, 30])
def test_track_is_one_when_an_object_walks_at_any_frame_rate(fps: int) -> None:
    xs = np.arange(0.1, 0.9, 0.2 / fps)  # a fifth of the picture in a second: twice its width
    told = follow([[box(x)] for x in xs], 1 / fps)
    assert {id_ for tracks in told[1:] for id_ in ids(tracks)} == {1}


def test_track_is_one_when_frames_come_irregularly() -> None:
    gaps = np.random.default_rng(7).uniform(0.03, 0.5, 40)
    times = np.cumsum(gaps)
    tracker = Tracker(TrackSection())
    told = [tracker.update([box(0.1 + 0.08 * t)], round(t * NS)) for t in times]
    assert {id_ for tracks in told[1:] for id_ in ids(tracks)} == {1}


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_two_people_keep_their_tracks_when_they_cross(fps: int) -> None:
    times = np.arange(0, 4, 1 / fps)
    told = follow([[box(0.1 + 0.2 * t, 0.5), box(0.9 - 0.2 * t, 0.52)] for t in times], 1 / fps)
    left, right = told[-1]
    assert (left.id, right.id) == (1, 2)
    assert left.box[0] > 0.7
    assert right.box[0] < 0.3


def test_track_goes_on_when_an_object_was_hidden_for_a_while() -> None:
    frames = [[] if 10 <= i < 18 else [box(0.1 + 0.02 * i)] for i in range(40)]
    told = follow(frames)
    assert {id_ for tracks in told[1:] for id_ in ids(tracks)} == {1}
    assert told[17][0].box == told[9][0].box  # where it was last seen


def test_track_is_another_one_when_an_object_comes_back_late() -> None:
    frames = [[] if 10 <= i < 30 else [box(0.5)] for i in range(40)]
    told = follow(frames)
    assert [ids(told[i]) for i in (9, 19, 20, 39)] == [[1], [1], [], [2]]


def test_track_is_not_confirmed_when_it_was_seen_once() -> None:
    told = follow([[box(0.2)], [], [box(0.2)], []])
    assert [ids(tracks) for tracks in told] == [[], [], [], []]
    assert told[1] == []


def test_low_score_keeps_a_track_and_starts_none() -> None:
    weak = box(0.5)._replace(score=0.3)
    alone = follow([[weak]] * 10, min_score=0.5)
    assert alone == [[]] * 10
    kept = follow([[box(0.5)]] * 2 + [[weak]] * 30, min_score=0.5)
    assert ids(kept[-1]) == [1]


def test_part_of_a_surer_box_starts_no_track() -> None:
    head = box(0.5, 0.4, 0.05, 0.08)._replace(score=0.6)
    told = follow([[box(0.5), head]] * 5)
    assert ids(told[-1]) == [1]


def test_label_is_that_of_most_frames_when_the_model_wavers() -> None:
    frames = [[box(0.5)._replace(label="dog" if i % 3 == 2 else "cat")] for i in range(9)]
    told = follow(frames)
    assert [(t.id, t.label) for t in told[-1]] == [(1, "cat")]


def test_track_goes_on_when_frames_are_further_apart_than_lost_s() -> None:
    assert ids(follow([[box(0.5)]] * 4, 1.5)[-1]) == [1]
    assert ids(follow([[box(0.5)]] * 4, 4.5)[-1]) == []


def test_tracks_are_bounded_when_there_are_too_many_boxes() -> None:
    seen = [box(i % 100 / 100, i // 100 / 100, 0.005, 0.005) for i in range(MAX_TRACKS + 100)]
    assert len(follow([seen, seen])[-1]) == MAX_TRACKS


def test_anchor_points_are_present_and_previous() -> None:
    ((track,), *_) = follow([[box(0.5)], [box(0.52)]])[1:]
    assert track.at("center") == pytest.approx((0.52, 0.5))
    assert track.was_at("bottom") == pytest.approx((0.5, 0.65))


boxes = st.builds(
    lambda x, y, w, h, score: Seen((x, y, x + w, y + h), "person", score),
    *[st.floats(0, 1) for _ in range(5)],
)


@given(st.lists(st.tuples(st.lists(boxes, max_size=6), st.integers(-NS, 3 * NS)), max_size=12))
def test_tracks_are_the_same_and_sound_when_boxes_are_anything(
    frames: list[tuple[list[Seen], int]],
) -> None:
    both = []
    for _ in range(2):
        tracker, now_ns, told = Tracker(TrackSection(), 0.4), 10 * NS, []
        for seen, gap_ns in frames:
            now_ns += gap_ns
            told.append(tracker.update(seen, now_ns))
            known = {s.box for seen_, _ in frames for s in seen_}
            assert all(t.box in known and t.first_ns <= t.last_ns for t in told[-1])
            assert len({t.id for t in told[-1]}) == len(told[-1])
        both.append(told)
    assert both[0] == both[1]


def test_value_is_told_when_it_has_lasted() -> None:
    steady: Steady[int] = Steady(10)
    told = [steady.update(v, t) for t, v in [(0, 1), (9, 1), (10, 1), (12, 2), (15, 1), (18, 2)]]
    assert told == [None, None, 1, 1, 1, 1]
    assert [steady.update(2, 27), steady.update(2, 28)] == [1, 2]


def test_value_is_told_when_it_never_rests() -> None:
    steady: Steady[int] = Steady(10)
    steady.value = 0
    told = [steady.update(5 if t % 4 else 6, t) for t in range(40)]
    assert told[29] == 0
    assert set(told[30:]) == {5}
