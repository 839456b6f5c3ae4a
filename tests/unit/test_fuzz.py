"""A short run of what ``python -m benchmarks.fuzz`` does at length."""

import pytest

from benchmarks.fuzz import KINDS
from benchmarks.fuzzed import SLOW_S, TAKEN, Fuzzed, fuzz

COUNTS = {"payloads": 5_000, "packets": 5_000, "profiles": 60}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_goes_wrong_when_what_is_read_is_fuzzed(kind: str) -> None:
    run, _ = KINDS[kind]
    count = COUNTS.get(kind, 300)
    fuzzed = run(count, 7)
    assert fuzzed.wrong == []
    assert fuzzed.ended.total() == count
    assert 0 < fuzzed.ended[TAKEN] < count, "the inputs are neither all right nor all wrong"


def test_a_crash_and_a_wait_are_told_when_a_reader_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take(given: int) -> str:
        return str(1 // given)

    monkeypatch.setattr("benchmarks.fuzzed.SLOW_S", 0.0)
    fuzzed: Fuzzed = fuzz(take, iter([1, 0]).__next__, 2)
    assert SLOW_S == 1.0
    assert len([line for line in fuzzed.wrong if line.startswith("ZeroDivisionError")]) == 1
    assert len([line for line in fuzzed.wrong if line.startswith("took")]) == 2
