"""What the queue lost, told by sequences alone."""

from gateway.outcomes.underway import Span, Underway


def lost(underway: Underway, first: int, last: int) -> list[str]:
    return underway.missing(underway.snapshot(), Span(first, last))


def known(count: int) -> Underway:
    made = Underway()
    made.put([f"p{n}" for n in range(1, count + 1)], range(1, count + 1))
    return made


def test_nothing_is_lost_when_the_queue_has_it_or_the_hub() -> None:
    underway = known(5)
    underway.gone(["p1", "p2"])
    for _ in range(3):
        assert lost(underway, 3, 5) == []


def test_it_is_lost_when_it_is_absent_twice_and_was_not_forwarded() -> None:
    underway = known(5)
    assert lost(underway, 3, 5) == [], "it may be forwarded right now"
    underway.gone(["p1"])
    assert lost(underway, 3, 5) == ["p2"]


def test_all_is_lost_when_the_queue_was_made_anew() -> None:
    underway = known(3)
    assert lost(underway, 1, 0) == []
    assert lost(underway, 1, 0) == ["p1", "p2", "p3"]
    underway.put(["p1", "p2", "p3"], [1, 2, 3])
    assert lost(underway, 1, 3) == []


def test_what_is_put_while_the_queue_is_asked_is_not_looked_for() -> None:
    underway = known(1)
    before = underway.snapshot()
    underway.put(["later"], [2])
    for _ in range(2):
        assert underway.missing(before, Span(1, 1)) == []


def test_what_was_under_way_before_a_start_is_expected_up_to_the_newest() -> None:
    underway = Underway(lambda: 99)
    underway.put(["new"], [8])
    underway.take_up([("a", 5), ("b", 6)], last=7)
    assert underway.since_ns() == 4
    assert lost(underway, 3, 8) == []
    assert lost(underway, 8, 8) == []
    underway.gone(["a"])
    assert lost(underway, 8, 8) == ["b"]
    underway.gone(["b", "new"])
    assert underway.since_ns() == 99


def test_what_was_put_shortly_before_a_crash_may_be_at_the_hub() -> None:
    underway = Underway()
    underway.take_up([("a", 5), ("b", 6)], last=7, unsure_until_ns=5)
    assert [underway.is_unsure(name) for name in ("a", "b", "new")] == [True, False, False]


def test_what_is_at_the_hub_before_it_is_noted_is_not_expected() -> None:
    underway = Underway()
    underway.gone(["a", "b"])
    underway.put(["a", "c"], [1, 2])
    underway.take_up([("b", 1), ("d", 1)], last=2)
    for _ in range(2):
        found = lost(underway, 3, 2)
    assert sorted(found) == ["c", "d"]


def test_the_newest_are_known_when_very_many_wait() -> None:
    underway = known(100_010)
    assert len(underway) == 100_000
    assert lost(underway, 200_000, 200_000) == []
    assert lost(underway, 200_000, 200_000)[0] == "p11"
