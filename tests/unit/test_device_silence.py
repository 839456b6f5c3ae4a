"""Who counts as silent, and how much of it is told."""

import random
from collections.abc import Iterable

import pytest

from gateway.config import DevicesSection
from gateway.devices.rhythm import Rhythm
from gateway.devices.silence import MOST_TOLD, WITHIN_S, Change, Silence, silent_after_s

POLICY = DevicesSection()


def learned(gaps_s: Iterable[float]) -> Rhythm:
    rhythm = Rhythm()
    for gap_s in gaps_s:
        rhythm.learn(1, gap_s)
    return rhythm


@pytest.mark.parametrize(
    ("gaps_s", "after_s"),
    [
        ([1.0] * 4000, 120.0),  # at least two minutes
        ([60.0] * 100, 600.0),
        ([300.0] * 50, 3000.0),
        ([290.0, 10.0] * 50, 1500.0),  # two messages each five minutes
        ([1.0] * 3000, None),  # not known for an hour yet
        ([300.0] * 25, None),
    ],
)
def test_regular_device_is_silent_after_ten_intervals(
    gaps_s: list[float], after_s: float | None
) -> None:
    found = silent_after_s(learned(gaps_s), None, POLICY)
    assert found == (after_s if after_s is None else pytest.approx(after_s, rel=0.01))


def test_device_that_reports_on_change_never_counts_as_silent() -> None:
    rng = random.Random(5)  # noqa: S311 - a day of a sensor
    days = [[rng.expovariate(1 / 300) for _ in range(120)] + [8 * 3600.0] for _ in range(20)]
    rhythm = Rhythm()
    for gap_s in (gap_s for day in days for gap_s in day):
        limit_s = silent_after_s(rhythm, None, POLICY)
        assert limit_s is None or gap_s < limit_s, "it would have cried wolf"
        rhythm.learn(1, gap_s)


def test_device_that_chatters_at_its_start_does_not_count_as_silent_when_it_sleeps() -> None:
    rhythm = learned([1.0] * 40)
    assert silent_after_s(rhythm, None, POLICY) is None
    for _ in range(40):
        rhythm.learn(1, 3600.0)
    assert silent_after_s(rhythm, None, POLICY) is None or rhythm.mean_s > 1200


def test_what_the_profile_says_wins() -> None:
    assert silent_after_s(learned([1.0] * 4000), 30.0, POLICY) == 30.0
    assert silent_after_s(Rhythm(), 7200.0, POLICY) == 7200.0


class Site:
    """Devices, and what was told of them."""

    def __init__(self) -> None:
        self.silence = Silence()
        self.told: set[str] = set()

    def look(self, now_s: float, **silent: bool | None) -> list[Change]:
        changes = self.silence.look(now_s, silent, self.told.__contains__)
        for change in changes:
            if change.label == "silent":
                self.told.add(change.device)
            else:
                self.told.discard(change.device)
        return changes


def test_silence_is_told_once_and_the_return_once() -> None:
    site = Site()
    assert site.look(0, a=False, b=False) == []
    assert site.look(5, a=True, b=False) == [Change("a", "silent")]
    assert site.look(10, a=True, b=False) == []
    assert site.look(15, a=None, b=None) == [], "nobody can say"
    assert site.look(20, a=False, b=False) == [Change("a", "back")]
    assert site.look(25, a=False, b=False) == []


def test_many_are_told_as_one_when_a_whole_site_falls_silent() -> None:
    site = Site()
    names = [f"d{n}" for n in range(200)]
    everybody: dict[str, bool | None] = dict.fromkeys(names, True)
    first = site.look(0, **everybody)
    assert len(first) == MOST_TOLD
    assert all(change.device for change in first)
    assert site.look(5, **everybody) == [Change("", "silent", 200 - MOST_TOLD)]
    assert site.look(500, **everybody) == []
    back: dict[str, bool | None] = dict.fromkeys(names, False)
    back |= {"d199": True, "d198": True}
    changes = site.look(505, **back)
    assert changes[-1] == Change("", "back", 2)
    assert len(changes) == MOST_TOLD + 1
    # The few that stay away speak for themselves.
    assert site.look(510, **back) == [Change("d198", "silent"), Change("d199", "silent")]
    assert site.look(515, **back) == []


def test_many_are_told_as_one_after_a_minute_when_ever_more_fall_silent() -> None:
    site = Site()
    changes: list[Change] = []
    for second in range(0, 120, 5):
        silent: dict[str, bool | None] = {f"d{n}": n < 10 * second for n in range(1200)}
        changes += site.look(second, **silent)
    alone = [change for change in changes if change.device]
    together = [change for change in changes if not change.device]
    assert len(together) == 1
    assert together[0].devices > 100
    assert len(alone) <= MOST_TOLD * (1 + 120 // WITHIN_S)


def test_together_is_remembered_when_it_was_told_before_a_restart() -> None:
    names = [f"d{n}" for n in range(50)]
    silence = Silence(names)
    assert silence.look(0, dict.fromkeys(names, None), lambda _: False) == []
    assert silence.look(5, dict.fromkeys(names, True), lambda _: False) == []
    assert silence.look(9, dict.fromkeys(names, False), lambda _: False) == [Change("", "back", 0)]
