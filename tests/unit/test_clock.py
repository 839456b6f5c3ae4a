"""What the box's clock makes of the system's."""

from pathlib import Path

import pytest

from gateway.clock import MADE_NS, BoxClock, LinuxSystem, Standing
from tests.fake_system import DAY, NOW, SECOND, YEAR, FakeSystem


def started(system: FakeSystem, seen_ns: int = 0) -> BoxClock:
    clock = BoxClock(system)
    clock.resume(None, seen_ns)
    return clock


def watch(clock: BoxClock, system: FakeSystem, seconds: int) -> list[int]:
    """Look once a second and follow; return the steps followed."""
    steps = []
    for _ in range(seconds):
        system.pass_s(1)
        change = clock.look()
        if change:
            clock.begin(change)
            steps += [change.step_ns] if change.step_ns else []
    return steps


@pytest.mark.parametrize(
    ("synced", "standing"),
    [(True, Standing.OK), (False, Standing.UNSYNCED), (None, Standing.UNSYNCED)],
)
def test_clock_is_as_sure_as_somebody_keeps_it(*, synced: bool | None, standing: Standing) -> None:
    clock = started(FakeSystem(synced=synced))
    assert (clock.standing, clock.now_ns()) == (standing, NOW)
    assert bool(clock.era.mark) == (standing is not Standing.OK)


@pytest.mark.parametrize("step_ns", [YEAR, -YEAR, 3600 * SECOND, -100 * YEAR])
def test_nothing_changes_when_a_step_is_undone_before_it_is_believed(step_ns: int) -> None:
    system = FakeSystem()
    clock = started(system)
    era = clock.era
    system.wall_ns += step_ns
    assert watch(clock, system, 29) == []
    system.wall_ns -= step_ns
    assert watch(clock, system, 100) == []
    assert (clock.now_ns(), clock.era, clock.turn) == (system.wall_ns, era, 0)


@pytest.mark.parametrize("step_ns", [YEAR, -YEAR])
def test_step_is_followed_when_it_stands_though_nobody_vouches_for_it(step_ns: int) -> None:
    system = FakeSystem()
    clock = started(system)
    watch(clock, system, 10)
    system.wall_ns += step_ns
    assert watch(clock, system, 40) == [step_ns]
    assert (clock.now_ns(), clock.moved_since_ns(0)) == (system.wall_ns, step_ns)
    assert clock.standing is Standing.UNSYNCED
    assert clock.era.mark == 1, "what was in doubt still is"


def test_step_that_changes_is_not_followed_before_it_stands() -> None:
    system = FakeSystem()
    clock = started(system)
    for _ in range(5):
        system.wall_ns += YEAR
        assert watch(clock, system, 20) == []
    assert watch(clock, system, 20) == [5 * YEAR]


@pytest.mark.parametrize("step_ns", [YEAR, -YEAR])
def test_step_is_followed_at_once_when_somebody_keeps_the_clock(step_ns: int) -> None:
    system = FakeSystem()
    clock = started(system)
    system.wall_ns += step_ns
    system.synced = True
    assert watch(clock, system, 1) == [step_ns]
    assert (clock.standing, clock.era.mark) == (Standing.OK, 0)


def test_small_step_is_followed_without_a_word() -> None:
    system = FakeSystem(synced=True)
    clock = started(system)
    system.wall_ns += 1_500_000_000
    assert watch(clock, system, 3) == []
    assert (clock.now_ns(), clock.turn) == (system.wall_ns, 0)


def test_doubt_begins_anew_when_nobody_keeps_the_clock_any_more() -> None:
    system = FakeSystem(synced=True)
    clock = started(system)
    system.synced = False
    watch(clock, system, 5)
    first = clock.era
    system.synced = True
    watch(clock, system, 5)
    system.synced = False
    watch(clock, system, 5)
    assert first.mark
    assert clock.era.mark > first.mark
    assert clock.era.began_ns > first.began_ns


@pytest.mark.parametrize("wall_ns", [0, MADE_NS - DAY])
def test_clock_is_unset_when_it_is_before_the_software_was_made(wall_ns: int) -> None:
    system = FakeSystem(wall_ns=wall_ns, synced=True)
    clock = started(system)
    assert (clock.standing, clock.now_ns()) == (Standing.UNSET, MADE_NS)
    assert watch(clock, system, 100) == [], "whoever says so"
    system.wall_ns = NOW
    assert watch(clock, system, 1) == [NOW + SECOND - MADE_NS - 101 * SECOND]
    assert clock.standing is Standing.OK


def test_clock_goes_on_from_the_newest_time_known_when_it_would_run_back() -> None:
    system = FakeSystem(wall_ns=NOW)
    clock = started(system, seen_ns=NOW + DAY)
    assert (clock.standing, clock.now_ns()) == (Standing.UNSET, NOW + DAY)
    assert watch(clock, system, 100) == [], "it is the clock that was found wrong"
    system.wall_ns += DAY // 2  # set by hand, and still before what was seen
    (step_ns,) = watch(clock, system, 40)
    assert clock.now_ns() == system.wall_ns
    assert step_ns == -DAY // 2
    assert clock.standing is Standing.UNSYNCED


def test_clock_goes_on_undisturbed_when_the_gateway_starts_again_in_one_boot() -> None:
    system = FakeSystem(wall_ns=0)
    first = started(system)
    system.pass_s(10)
    again = BoxClock(system)
    again.resume(first.era, MADE_NS + 5 * SECOND)
    assert (again.era, again.now_ns()) == (first.era, MADE_NS + 10 * SECOND)
    system.wall_ns = NOW
    assert watch(again, system, 40)
    assert again.now_ns() == system.wall_ns


def test_doubt_of_another_boot_is_another_one() -> None:
    system = FakeSystem()
    first = started(system)
    system.reboot(off_s=60)
    again = BoxClock(system)
    again.resume(first.era, NOW)
    assert again.era.mark == first.era.mark + 1


def test_nothing_is_old_because_an_unkept_clock_jumped_ahead() -> None:
    system = FakeSystem()
    clock = started(system)
    system.wall_ns += YEAR
    watch(clock, system, 40)
    assert clock.before_ns(DAY) < NOW
    system.pass_s(DAY / SECOND + 40)
    assert clock.before_ns(DAY) == system.wall_ns - DAY, "the box has seen a day pass"
    system.synced = True
    watch(clock, system, 1)
    assert clock.before_ns(5 * DAY) == system.wall_ns - 5 * DAY


def test_nothing_is_old_because_the_box_came_up_with_a_clock_that_is_ahead() -> None:
    system = FakeSystem()
    kept = started(system).era
    system.reboot(off_s=YEAR / SECOND)
    clock = BoxClock(system)
    clock.resume(kept, NOW)
    assert clock.before_ns(DAY) == NOW - DAY
    system.synced = True
    watch(clock, system, 1)
    assert clock.before_ns(DAY) == system.wall_ns - DAY, "it was off for a year"


def test_messages_on_their_way_are_known_by_their_turn() -> None:
    system = FakeSystem()
    clock = started(system)
    received_ns, turn = clock.stamp()
    system.wall_ns += YEAR
    watch(clock, system, 40)
    system.wall_ns += DAY
    watch(clock, system, 40)
    assert received_ns + clock.moved_since_ns(turn) == NOW + YEAR + DAY
    assert clock.moved_since_ns(clock.turn) == 0


def test_linux_says_what_time_it_is(tmp_path: Path) -> None:
    synced = tmp_path / "synced"
    system = LinuxSystem(synced)
    first = system.sample()
    synced.touch()
    second = system.sample()
    assert (first.synced, second.synced) == (False, True)
    assert 0 <= second.up_ns - first.up_ns < 10 * SECOND
    assert abs((second.wall_ns - first.wall_ns) - (second.up_ns - first.up_ns)) < SECOND
    assert len(system.boot()) == 36
