"""What is counted of tracks, with paths made up for the purpose."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.frame_sections import CountSection
from gateway.inference.vision.counters.counter import Counter, counter
from gateway.inference.vision.tracks import Point, Track
from gateway.model import Points

NS = 1_000_000_000
LINE: Points = ((0.5, 1.0), (0.5, 0.0))  # going up: to the right is in
ZONE: Points = ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6))


def track(at: Point, time_ns: int, id_: int = 1, label: str = "person") -> Track:
    x, y = at
    box = (x - 0.05, y - 0.1, x + 0.05, y + 0.1)
    return Track(id_, box, box, label, 0.9, 0, time_ns, confirmed=True)


def walk(each: Counter, path: Iterable[Point | None], place: Points, step_s: float = 0.1) -> None:
    for i, at in enumerate(path):
        time_ns = round(i * step_s * NS)
        each.update([] if at is None else [track(at, time_ns)], time_ns, place)


def numbers(each: Counter) -> tuple[float, ...]:
    return each.numbers


def crossings(path: list[Point], line: Points = LINE) -> tuple[float, ...]:
    spec = CountSection(name="c", what="crossings", line=line[:2], anchor="center")
    each = counter(spec)
    walk(each, path, line)
    return numbers(each)


@pytest.mark.parametrize(
    ("xs", "told"),
    [
        ([0.3, 0.4, 0.6, 0.7], (1, 0)),
        ([0.7, 0.6, 0.4, 0.3], (0, 1)),
        ([0.1, 0.9], (1, 0)),
        ([0.3, 0.7, 0.3, 0.7], (2, 1)),
        ([0.3, 0.495, 0.505, 0.496, 0.504, 0.499, 0.501, 0.3], (0, 0)),
        ([0.3, 0.495, 0.505, 0.496, 0.504, 0.499, 0.501, 0.7], (1, 0)),
        ([0.499, 0.501, 0.499, 0.501], (0, 0)),
        ([0.495, 0.7], (1, 0)),
        ([0.5, 0.7, 0.5, 0.7], (0, 0)),
    ],
)
def test_crossings_are_counted_once_each(xs: list[float], told: tuple[float, ...]) -> None:
    assert crossings([(x, 0.5) for x in xs]) == told


def test_nothing_is_counted_when_the_path_goes_beside_the_line() -> None:
    short: Points = ((0.5, 0.6), (0.5, 0.4))
    beside: list[Point] = [(0.3, 0.5), (0.4, 0.8), (0.6, 0.8), (0.7, 0.5)]
    assert crossings(beside, short) == (0, 0)
    assert crossings([*beside, (0.3, 0.5)], short) == (0, 1)  # and back through it


def test_direction_is_that_seen_from_the_first_point() -> None:
    down: list[Point] = [(0.5, 0.3), (0.5, 0.7)]
    assert crossings(down, ((0.1, 0.5), (0.9, 0.5))) == (1, 0)
    assert crossings(down, ((0.9, 0.5), (0.1, 0.5))) == (0, 1)


def test_crossing_waits_for_the_track_to_be_confirmed() -> None:
    each = counter(CountSection(name="c", what="crossings", line=((0.5, 1), (0.5, 0))))
    for i, x in enumerate([0.3, 0.7, 0.8]):
        one = track((x, 0.5), i)._replace(confirmed=i == 2)
        each.update([one], i, LINE)
        assert numbers(each) == (float(i == 2), 0)


def test_other_classes_are_not_counted() -> None:
    spec = CountSection(name="c", what="occupancy", classes=("dog",), hold_s=0)
    each = counter(spec)
    each.update([track((0.5, 0.5), 0), track((0.5, 0.5), 0, 2, "dog")], 0, ())
    assert numbers(each) == (1,)


def test_path_begins_anew_when_the_line_is_moved() -> None:
    each = counter(CountSection(name="c", what="crossings", line=((0.5, 1), (0.5, 0))))
    walk(each, [(0.4, 0.5)], LINE)
    each.update([track((0.45, 0.5), NS)], NS, ((0.42, 1.0), (0.42, 0.0)))
    assert numbers(each) == (0, 0)


sides = st.lists(st.sampled_from([0.2, 0.35, 0.65, 0.9]), min_size=1, max_size=30)


@given(sides, st.floats(-0.2, 0.2))
def test_crossings_are_the_changes_of_side_when_a_track_is_clean(
    xs: list[float], slant: float
) -> None:
    told = crossings([(x, 0.5) for x in xs], ((0.5 - slant / 2, 1.0), (0.5 + slant / 2, 0.0)))
    changes = [(a < 0.5, b < 0.5) for a, b in pairwise(xs)]
    assert told == (changes.count((True, False)), changes.count((False, True)))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 3)), max_size=40),
    st.sampled_from(["presence", "occupancy", "crossings", "dwell", "queue"]),
    st.sampled_from([0.0, 0.5]),
)
def test_numbers_are_never_negative_when_paths_are_anything(
    path: list[tuple[float, float, int]], what: str, hold_s: float
) -> None:
    line = ((0.5, 1.0), (0.5, 0.0)) if what == "crossings" else None
    table = {"name": "c", "what": what, "line": line, "hold_s": hold_s, "after_s": 0.3}
    each = counter(CountSection.model_validate(table))
    for i, (x, y, count) in enumerate(path):
        time_ns = i * NS // 5
        tracks = [track((x, y), time_ns, id_) for id_ in range(1, count + 1)]
        each.update(tracks, time_ns, line or ZONE)
        assert min(numbers(each)) >= 0
        assert min(each.pending, default=0) >= 0
    if what == "crossings":
        ins, outs = numbers(each)
        assert ins + outs <= 3 * len(path)


def test_occupancy_is_told_when_it_has_lasted() -> None:
    each = counter(CountSection(name="c", what="occupancy", hold_s=1))
    told = []
    for i in range(30):
        time_ns = i * NS // 10
        there = 2 if i >= 15 and i != 20 else 1
        each.update([track((0.5, 0.5), time_ns, n) for n in range(there)], time_ns, ZONE)
        told.append(each.level)
    assert told[:10] == [None] * 10
    assert told[10:29] == [1] * 15 + [1] * 4
    each.update([track((0.5, 0.5), 0, n) for n in range(2)], 31 * NS // 10, ZONE)
    assert each.level == 2


def test_presence_is_one_at_most() -> None:
    each = counter(CountSection(name="c", what="presence", hold_s=0))
    each.update([track((0.5, 0.5), 0, n) for n in range(3)], 0, ZONE)
    assert numbers(each) == (1,)
    each.update([track((0.1, 0.5), 0, n) for n in range(3)], 1, ZONE)
    assert numbers(each) == (0,)


def test_border_belongs_to_the_zone_and_no_zone_is_everything() -> None:
    each = counter(CountSection(name="c", what="occupancy", hold_s=0, anchor="center"))
    at_border = [track((0.4, 0.5), 0)]
    each.update(at_border, 0, ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)))
    assert numbers(each) == (1,)
    each.update([track((0.0, 0.0), 1)], 1, ())
    assert numbers(each) == (1,)


def test_dwell_is_told_when_the_visit_is_over() -> None:
    each = counter(CountSection(name="c", what="dwell", hold_s=1, anchor="center"))
    inside, outside = (0.5, 0.5), (0.1, 0.1)
    path = [outside] * 5 + [inside] * 31 + [outside] * 5 + [inside] * 10 + [outside] * 12
    walk(each, path[:-2], ZONE)
    assert numbers(each) == (0, 0)  # out for half a second is not left
    walk(each, [None], ZONE)
    assert numbers(each) == pytest.approx((4.5, 1))


def test_no_visit_is_told_when_it_was_short() -> None:
    each = counter(CountSection(name="c", what="dwell", hold_s=1, anchor="center"))
    walk(each, [(0.5, 0.5)] * 5 + [(0.1, 0.1)] * 20, ZONE)
    assert numbers(each) == (0, 0)


def test_queue_counts_who_has_waited() -> None:
    spec = CountSection(name="c", what="queue", hold_s=0, after_s=5, anchor="center")
    each = counter(spec)
    told: list[tuple[float, ...]] = []
    for i in range(80):
        time_ns = i * NS // 10
        tracks = [track((0.5, 0.5), time_ns)]
        tracks += [track((0.45, 0.5), time_ns, 2)] if i >= 20 else []
        each.update(tracks, time_ns, ZONE)
        told.append(numbers(each))
    assert [told[49], told[50]] == [(0, 0), (1, 5)]
    assert told[79] == pytest.approx((2, 7.9))
