"""Who is limited, quarantined and released; the seconds are counted, not waited for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import DevicesSection
from gateway.devices import memory
from gateway.devices.conduct import MOST_CASES, Came, Conduct
from gateway.devices.known import Known, Moment
from gateway.devices.memory import Habits
from gateway.devices.rhythm import Rhythm
from gateway.features import Device

USUAL = Rhythm(usual_hz=5.0, observed_s=600.0, mean_s=1.0, longest_s=1.0, gaps=100)
QUIET = Came(good=5)
LOUD = Came(good=5000)
GARBAGE = Came(bad=2000)


def seconds(
    conduct: Conduct, count: int, came: Came, rhythm: Rhythm | None = USUAL
) -> list[tuple[int, str]]:
    """Return what becomes of a device of which this comes each second, and in which of them."""
    labels: list[tuple[int, str]] = []
    for second in range(1, count + 1):
        label = conduct.judge("d", came, rhythm, 1.0, second)
        if label:
            labels.append((second, label))
            if label == "released":
                conduct.release("d")
    return labels


def test_loud_device_is_limited_then_quarantined_then_released_when_it_behaves() -> None:
    conduct = Conduct(DevicesSection())
    assert seconds(conduct, 60, QUIET) == []
    assert seconds(conduct, 5, LOUD) == [(5, "limited")]
    assert conduct.passes_hz("d", USUAL) == 50.0  # ten times its usual rate
    assert seconds(conduct, 40, Came(good=50, shed=4950)) == [(30, "quarantined")]
    assert conduct.passes_hz("d", USUAL) == 0.0
    case = conduct.cases["d"]
    assert (case.why, case.rate_hz, case.usual_hz, case.shed) == ("noise", 5000, 5, 40 * 4950)
    assert seconds(conduct, 599, Came(shed=5)) == []
    assert seconds(conduct, 1, Came(shed=5000)) == []  # it begins anew
    assert seconds(conduct, 700, Came(shed=5)) == [(600, "released")]
    assert not conduct.cases


def test_limited_device_is_released_soon_when_it_behaves() -> None:
    conduct = Conduct(DevicesSection())
    seconds(conduct, 5, LOUD)
    assert seconds(conduct, 100, QUIET) == [(60, "released")]


def test_nobody_is_quarantined_when_the_policy_says_no() -> None:
    conduct = Conduct(DevicesSection(quarantine=False))
    assert seconds(conduct, 1000, LOUD) == [(5, "limited")]


@pytest.mark.parametrize(
    ("came", "rhythm"),
    [
        (Came(good=199), replace(USUAL, usual_hz=0.01)),  # no harm, however unusual
        (Came(good=499), USUAL),  # below a hundred times its usual rate
        (Came(good=1999), Rhythm()),  # it is new: nobody knows yet
        (Came(good=1999), replace(USUAL, observed_s=59.0)),
        (Came(good=30_000), replace(USUAL, usual_hz=1000.0)),  # a bridge of many machines
        (Came(good=5000, excused=4600), USUAL),  # it brings what it kept
        (Came(bad=50), None),
        (Came(good=1, bad=190), USUAL),  # not only garbage
    ],
)
def test_honest_device_is_left_alone_for_ever(came: Came, rhythm: Rhythm | None) -> None:
    conduct = Conduct(DevicesSection())
    assert seconds(conduct, 10_000, came, rhythm) == []
    assert not conduct.suspects


def test_a_burst_is_no_offence_when_it_is_over_soon() -> None:
    conduct = Conduct(DevicesSection())
    for _ in range(100):
        assert seconds(conduct, 4, LOUD) == []
        assert seconds(conduct, 5, QUIET) == []
    assert not conduct.suspects


def test_bursts_count_together_when_there_is_hardly_a_pause() -> None:
    conduct = Conduct(DevicesSection())
    labels = [label for _ in range(20) for label in seconds(conduct, 2, LOUD)
              + seconds(conduct, 1, QUIET)]  # fmt: skip
    assert [label for _, label in labels] == ["limited", "quarantined"]


def test_garbage_is_tasted_and_released_soon_when_it_can_be_read_again() -> None:
    conduct = Conduct(DevicesSection())
    assert seconds(conduct, 40, GARBAGE, None) == [(5, "limited"), (35, "quarantined")]
    assert conduct.passes_hz("d", None) == 1.0
    assert seconds(conduct, 700, Came(bad=1, shed=1999), None) == []
    assert seconds(conduct, 70, Came(good=1, shed=60), None) == [(60, "released")]


def test_cases_are_bounded_when_very_many_offend() -> None:
    conduct = Conduct(DevicesSection())
    for name in range(MOST_CASES + 10):
        for second in range(6):
            conduct.judge(str(name), GARBAGE, None, 1.0, second)
    assert len(conduct.cases) == MOST_CASES


def known(rhythm: Rhythm = USUAL) -> Known:
    found = Known(replace(rhythm))
    found.meet(Device("d", "p", "d", 0, 1_000_000_000, 10), Moment(1.0, 1_000_000_000))
    found.hear(1, 1.0, is_usual=False)
    return found


def test_backlog_is_excused_up_to_what_it_may_have_kept_when_it_was_away() -> None:
    device = known()
    assert device.excuse(4500, 0, 2.0) == 0
    back_s = 1.0 + 3600
    excused = device.excuse(30_000, 0, back_s)
    device.hear(30_000, back_s, is_usual=False)
    assert excused == 30_000
    assert device.excuse(30_000, 0, back_s + 1) == 6000, "twice its usual rate for an hour"
    assert device.excuse(30_000, 0, back_s + 2) == 0


def test_backlog_is_forgotten_when_it_did_not_come() -> None:
    device = known()
    device.hear(5, 1.0, is_usual=False)
    assert device.excuse(-100, 0, 3601.0) == 0, "it says hello first"
    device.hear(5, 3601.0, is_usual=False)
    assert device.excuse(10, 0, 3602.0) == 10
    for now_s in range(3620, 4201, 20):
        device.hear(5, now_s, is_usual=False)
    assert device.excuse(30_000, 0, 3601.0 + 601) == 0


def test_old_readings_are_excused_and_not_without_end() -> None:
    device = known(Rhythm())
    assert device.excuse(300_000, 299_000, 2.0) == 299_000
    assert device.excuse(-5, 100, 2.0) == 0
    assert sum(device.excuse(300_000, 300_000, 3.0 + n) for n in range(10)) == 701_000


def test_usual_rate_is_that_of_its_active_hours_when_it_pauses() -> None:
    rhythm = Rhythm()
    for _ in range(10):
        for _ in range(600):
            rhythm.learn(300, 1.0)
        rhythm.learn(300, 14 * 3600.0)  # a night
    assert rhythm.usual_hz == pytest.approx(300)
    assert rhythm.is_known


def test_usual_rate_of_a_slow_device_is_learned() -> None:
    rhythm = Rhythm()
    for _ in range(50):
        rhythm.learn(2, 300.0)
    assert rhythm.usual_hz == pytest.approx(2 / 300)


def test_noise_is_not_taken_for_usual_when_it_was_short() -> None:
    rhythm = replace(USUAL, observed_s=4 * 3600.0)
    for _ in range(5):
        rhythm.learn(5000, 1.0)
    assert rhythm.usual_hz < 7


def test_habits_are_there_again_when_they_were_kept(tmp_path: Path) -> None:
    conduct = Conduct(DevicesSection())
    seconds(conduct, 40, LOUD)
    kept = Habits({"d": replace(USUAL)}, conduct.cases, ["a", "b"])
    memory.save(tmp_path / memory.FILE, kept)
    found = memory.load(tmp_path / memory.FILE)
    assert found.rhythms == kept.rhythms
    assert found.together == ["a", "b"]
    assert found.cases["d"].state == "quarantined"
    assert found.cases["d"].rate_hz == 5000
    assert [file.name for file in tmp_path.iterdir()] == [memory.FILE]


def _cut(text: bytes) -> bytes:
    return text[: len(text) // 2]


def _other_type(text: bytes) -> bytes:
    return text.replace(b'"limited"', b'"loud"').replace(b"5000", b'"x"').replace(b"600", b"[]")


@pytest.mark.parametrize(
    "spoil",
    [_cut, _other_type, lambda _: b"[]", lambda _: b"{}", lambda _: b"\xff\x00", bytes.upper],
)
def test_habits_are_learned_anew_when_the_file_is_spoiled(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    conduct = Conduct(DevicesSection())
    seconds(conduct, 6, LOUD)
    file = tmp_path / memory.FILE
    memory.save(file, Habits({"d": replace(USUAL)}, conduct.cases, []))
    file.write_bytes(spoil(file.read_bytes()))
    assert memory.load(file) == Habits()
    assert memory.load(tmp_path / "none") == Habits()


def test_nothing_stops_when_habits_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken.part").mkdir()
    memory.save(tmp_path / "taken", Habits())
    assert not (tmp_path / "taken").exists()
