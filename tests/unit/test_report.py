"""Which results become outcomes."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.report import Reported, judge
from gateway.model import Result

S = 1_000_000_000


@dataclass(frozen=True)
class Policy:
    on: tuple[str, ...] = ("change",)
    normal: str = "normal"
    every_s: float = 60.0
    always: bool = False
    min_score: float | None = None


def reports(policy: Policy, labels: str, scores: list[float] | None = None) -> str:
    """Return ``labels`` (n: normal, a: anomaly, -: suppressed), . where nothing is reported."""
    last: Reported | None = None
    told = ""
    for i, letter in enumerate(labels):
        label = {"n": "normal", "a": "anomaly", "b": "worn", "-": "anomaly"}[letter]
        result = Result(label, scores[i] if scores else 1.0, suppress=letter == "-")
        report, last = judge(policy, last, result, (i + 1) * 10 * S)
        told += letter if report else "."
    return told


@pytest.mark.parametrize(
    ("policy", "labels", "expected"),
    [
        (Policy(), "nnnaaannn", "n..a..n.."),
        (Policy(), "nab", "nab"),
        (Policy(every_s=20), "naaaaan", "na.a.an"),
        (Policy(every_s=20), "nnnnnn", "n....."),
        (Policy(every_s=0), "naaaaaaaa", "na......."),
        (Policy(always=True), "nnaa", "nnaa"),
        (Policy(on=(), every_s=20), "nnaaann", "..a.a.."),
        (Policy(), "--na-a", "..na.."),
        (Policy(always=True), "n-n", "n.n"),
    ],
)
def test_reports_follow_the_policy_when_labels_come(
    policy: Policy, labels: str, expected: str
) -> None:
    assert reports(policy, labels) == expected


def test_weak_anomaly_is_left_out_and_its_end_too_when_below_min_score() -> None:
    policy = Policy(min_score=2.0)
    assert reports(policy, "nanaan", [0, 1, 0, 3, 1, 0]) == "n..a.n"


@given(st.text("nab-", max_size=60), st.integers(0, 60), st.sampled_from([0, 15, 30]))
def test_repeat_gives_the_same_reports_when_it_starts_from_the_kept_state(
    labels: str, cut: int, every_s: int
) -> None:
    policy = Policy(every_s=every_s)
    names = {"n": "normal", "a": "anomaly", "b": "worn", "-": "anomaly"}
    last: Reported | None = None
    whole = []
    kept: list[Reported | None] = [None]
    for i, letter in enumerate(labels):
        result = Result(names[letter], 1.0, suppress=letter == "-")
        report, last = judge(policy, last, result, i * 10 * S)
        whole.append(report)
        kept.append(last)
    cut = min(cut, len(labels))
    stored = json.dumps(kept[cut])
    last = Reported(*json.loads(stored)) if stored != "null" else None
    for i, letter in list(enumerate(labels))[cut:]:
        result = Result(names[letter], 1.0, suppress=letter == "-")
        report, last = judge(policy, last, result, i * 10 * S)
        assert report == whole[i]
