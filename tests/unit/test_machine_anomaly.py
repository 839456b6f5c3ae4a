"""The shipped plugin's arithmetic: what it learns and how it decides."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "plugins" / "machine-anomaly"))

from normal import Judge, Normal, evidence, step
from plugin import Memory


def machine(rows: int = 300, seed: int = 3) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal([10.0, 50.0, 1.0], [0.1, 2.0, 0.01], (rows, 3))


def test_constant_channel_is_not_used_when_it_says_nothing() -> None:
    rows = machine()
    rows[:, 1] = 7.0
    normal = Normal.fit(rows)
    assert normal.mask[:4].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_machine_at_rest_is_refused_when_nothing_moves() -> None:
    with pytest.raises(ValueError, match="constant or missing"):
        Normal.fit(np.ones((300, 3)))


def test_learning_rows_stay_below_the_threshold() -> None:
    for seed in range(5):
        rows = machine(seed=seed)
        normal = Normal.fit(rows)
        means = np.lib.stride_tricks.sliding_window_view(rows, 20, axis=0).mean(axis=-1)
        shift = np.zeros((len(means), 16))
        shift[:, :3] = means - normal.mean[:3]
        scores = (evidence(shift, normal.scale, normal.dof) * normal.mask).sum(axis=1)
        assert (scores / normal.threshold < 1.0).all()


def test_steady_channel_counts_more_than_a_wandering_one_at_the_same_shift() -> None:
    rows = machine(400)
    rows[:, 1] = 50 + np.cumsum(np.random.default_rng(1).normal(0, 0.3, 400))
    normal = Normal.fit(rows)
    shift = np.zeros(16)
    shift[:2] = 10 * normal.scale[:2]
    steady, wandering = evidence(shift, normal.scale, normal.dof)[:2]
    assert steady > 3 * wandering


def test_alarm_ends_when_the_score_falls_far_below_its_peak() -> None:
    judge, labels = Judge(), []
    for score in (0.2, 1.1, 8.0, 3.0, 2.5, 1.5, 1.2, 3.0, 4.5):
        judge, label = step(judge, score)
        labels.append(label)
    assert labels == [0, 1, 1, 1, 0, 0, 0, 0, 1]


def test_missing_score_changes_nothing() -> None:
    judge = Judge(alarm=True, level=5.0)
    assert step(judge, float("nan")) == (judge, 1)


def test_memory_is_the_same_when_it_was_packed() -> None:
    memory = Memory(("a", "b", "c"), machine(5).astype(np.float32), Normal.fit(machine()))
    again = Memory.unpack(memory.pack())
    assert again.names == memory.names
    np.testing.assert_array_equal(again.rows, memory.rows)
    assert again.normal is not None
    assert memory.normal is not None
    np.testing.assert_array_equal(again.normal.mean, memory.normal.mean)
    assert again.judge == memory.judge
