"""Which packets go when the queue is thinned: the rule, without a queue."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outcomes.levelling import surplus, water_level


@pytest.mark.parametrize(
    ("counts", "target", "level"),
    [
        ([10, 10, 10], 15, 5),
        ([2, 10, 10], 12, 5),
        ([2, 10, 10], 22, 10),
        ([2, 10, 10], 0, 0),
        ([5], 100, 5),
        ([], 3, 0),
        ([4, 4], -1, 0),
    ],
)
def test_level_is_what_every_part_may_keep(counts: list[int], target: int, level: int) -> None:
    assert water_level(counts, target) == level


@given(st.lists(st.integers(0, 1000), max_size=50), st.integers(0, 50_000))
def test_level_is_the_greatest_that_meets_the_target(counts: list[int], target: int) -> None:
    level = water_level(counts, target)
    assert sum(min(count, level) for count in counts) <= target
    if sum(counts) > target:
        assert sum(min(count, level + 1) for count in counts) > target


def test_packets_that_stay_are_evenly_spaced() -> None:
    gone = surplus(["pump"] * 100, 10)
    stay = sorted(set(range(100)) - set(gone))
    assert stay == list(range(9, 100, 10))


def test_source_keeps_its_share_when_sources_report_in_turn() -> None:
    sources = [f"pump-{n % 4}" for n in range(400)]
    gone = set(surplus(sources, 40))
    stay = Counter(source for n, source in enumerate(sources) if n not in gone)
    assert stay == {f"pump-{n}": 10 for n in range(4)}


@given(st.lists(st.sampled_from("abcdef"), max_size=200), st.integers(0, 250))
def test_newest_of_each_source_stays(sources: list[str], level: int) -> None:
    gone = surplus(sources, level)
    newest = {source: n for n, source in enumerate(sources)}
    assert not set(newest.values()) & set(gone)
    assert gone == sorted(set(gone))
    stay = len(sources) - len(gone)
    assert stay <= max(level, 0) + len(newest)


def test_nothing_goes_when_there_is_no_more_than_the_level() -> None:
    assert surplus(["a", "b", "a"], 3) == []
