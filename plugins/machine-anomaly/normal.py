"""What is normal for one machine: learning it, and deciding on scores.

The learning phase fits a :class:`Normal`, the ONNX model (see ``make_model.py``) turns a window of
rows and a ``Normal`` into a score (1.0 is the threshold), and :func:`step` turns the sequence of
scores into alarm labels. Needs NumPy only.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CHANNELS: Final = 16
"""Channels of a padded row; a machine has 1 to 16."""
WINDOW: Final = 20
"""Rows averaged for one score."""
MIN_ROWS: Final = WINDOW // 2
"""A channel with fewer valid rows than this in a window contributes nothing."""
EVIDENCE: Final = 15.0
"""Evidence (nats) at the threshold for a machine with ``EVIDENCE_CHANNELS`` channels."""
EVIDENCE_CHANNELS: Final = 8
"""The threshold grows with the square root of the number of channels from here."""
DEADBAND: Final = 2.0
"""Evidence (nats) of one channel that counts as ordinary noise and is taken off."""
FLOOR: Final = 0.1
"""Least shift that matters, in standard deviations of the raw channel."""
MAX_DOF: Final = 20.0
"""Cap on the degrees of freedom, so that tails stay heavy after long learning."""
HEADROOM: Final = 1.5
"""The threshold is at least this many times the highest evidence of the learning rows."""
FOLLOW_ROWS: Final = 300.0
"""Time constant (rows) with which the mean follows slow drift while there is no alarm."""
RELEASE: Final = 0.35
"""An alarm ends when the score falls below this share of its peak."""


def _pad(rows: Array) -> Array:
    """Pad rows [L, M] with NaN channels to [L, 16]."""
    if rows.ndim != 2 or not 1 <= rows.shape[1] <= CHANNELS:
        raise ValueError(f"rows must be [L, 1..{CHANNELS}], not {rows.shape}")
    padded = np.full((rows.shape[0], CHANNELS), np.nan)
    padded[:, : rows.shape[1]] = rows
    padded[~np.isfinite(padded)] = np.nan
    return padded


def _window_means(centred: Array) -> Array:
    """Return means over every full window, NaN where too few rows are valid.

    Args:
        centred: [L, 16], NaN where missing.

    Returns:
        [L - WINDOW + 1, 16], in the unit of ``centred``.
    """
    valid = np.isfinite(centred)
    start = np.zeros((1, CHANNELS))
    sums = np.vstack([start, np.cumsum(np.where(valid, centred, 0.0), axis=0)])
    counts = np.vstack([start, np.cumsum(valid, axis=0)])
    count = counts[WINDOW:] - counts[:-WINDOW]
    total = sums[WINDOW:] - sums[:-WINDOW]
    return np.where(count >= MIN_ROWS, total / np.maximum(count, 1.0), np.nan)


def evidence(shift: Array, scale: Array, dof: Array) -> Array:
    """Return the evidence (nats) per channel that a window mean is not normal, less the dead band.

    Args:
        shift: window mean minus normal mean [..., 16], in the channels' units; NaN counts as 0.
        scale: standard deviation of a window mean [16], in the channels' units.
        dof: degrees of freedom of the Student t distribution [16].

    Returns:
        [..., 16], at least 0.
    """
    z = np.clip(np.nan_to_num(shift) / scale, -1e6, 1e6)
    return np.maximum(0.5 * (dof + 1.0) * np.log1p(z * z / dof) - DEADBAND, 0.0)


@dataclass(frozen=True, slots=True)
class Normal:
    """The fitted parameters of one machine; unused channels have mask 0, scale and dof 1.

    Attributes:
        mask: 1.0 where the channel is used, else 0.0 [16].
        mean: centre of the channel [16], in its unit.
        scale: standard deviation of a window mean [16], in the channel's unit.
        dof: degrees of freedom behind ``scale`` [16], 1 (wanders) to ``MAX_DOF`` (steady).
        threshold: evidence (nats) of a score of 1.0 [1].
    """

    mask: Array
    mean: Array
    scale: Array
    dof: Array
    threshold: Array

    @classmethod
    def fit(cls, rows: Array) -> "Normal":
        """Learn from rows of normal running.

        Channels that are constant, or missing in more than half of the rows, are not used.

        Args:
            rows: [L, M], one reading per row and channel in any unit, NaN where missing;
                L at least 5 windows, M 1 to 16.

        Raises:
            ValueError: the shape does not fit or no channel can be used.
        """
        padded = _pad(rows)
        if len(padded) < 5 * WINDOW:
            raise ValueError(f"learning needs {5 * WINDOW} rows or more, not {len(padded)}")
        valid = np.isfinite(padded)
        count = np.maximum(valid.sum(axis=0), 1)
        mean = np.where(valid, padded, 0.0).sum(axis=0) / count
        variance = (np.where(valid, padded - mean, 0.0) ** 2).sum(axis=0) / count
        used = (2 * count >= len(padded)) & (variance > (1e-6 * np.abs(mean)) ** 2 + 1e-24)
        if not used.any():
            raise ValueError("every channel is constant or missing")
        shift = _window_means(padded - mean)
        scale, dof = _spread(shift, np.where(used, variance, 1.0), len(padded))
        total = (evidence(shift, scale, dof) * used).sum(axis=1).max()
        threshold = EVIDENCE * math.sqrt(int(used.sum()) / EVIDENCE_CHANNELS)
        return cls(
            mask=used.astype(np.float64),
            mean=np.where(used, mean, 0.0),
            scale=np.where(used, scale, 1.0),
            dof=np.where(used, dof, 1.0),
            threshold=np.array([max(threshold, HEADROOM * float(total))]),
        )

    def follow(self, shift: Array) -> "Normal":
        """Move the mean a little towards the present; call it for every row without an alarm.

        Args:
            shift: the model's ``shift`` for this row [16], in the channels' units.
        """
        return replace(self, mean=self.mean + shift / FOLLOW_ROWS)


def _spread(shift: Array, variance: Array, rows: int) -> tuple[Array, Array]:
    """Return how far window means stray in normal running, and how well that is known.

    A steady channel's window means vary as variance / WINDOW, and the learning rows hold many
    independent ones. A channel that wanders varies as much in its window means as in its rows,
    and then the learning rows show only a part of where it may go: few degrees of freedom.

    Args:
        shift: window means about the mean [N, 16], NaN where missing.
        variance: of the rows [16], positive.
        rows: L.

    Returns:
        scale [16], in the channels' units, and dof [16].
    """
    count = np.maximum(np.isfinite(shift).sum(axis=0), 1)
    between = np.maximum((np.nan_to_num(shift) ** 2).sum(axis=0) / count, variance / WINDOW)
    wander = np.clip(between / variance, 1.0 / WINDOW, 1.0)
    dof = np.clip(rows / WINDOW * (1.0 - wander), 1.0, MAX_DOF)
    return np.sqrt(between + FLOOR**2 * variance), dof


@dataclass(frozen=True, slots=True)
class Judge:
    """The decision state of one machine.

    Attributes:
        alarm: the present label.
        level: in an alarm its peak score; after an alarm that ended above the threshold the
            lowest score since; else 0.
    """

    alarm: bool = False
    level: float = 0.0


def step(state: Judge, score: float) -> tuple[Judge, int]:
    """Decide on one row; pure.

    An alarm starts at a score of 1 and ends below 1, or when the score has fallen below
    ``RELEASE`` of its peak: then the fault has gone although the machine has settled elsewhere
    than where it was learned. From such a settled level a new alarm needs a rise by 1 / RELEASE.

    Args:
        state: after the previous row; ``Judge()`` at the start.
        score: of this row; NaN leaves the state as it is.

    Returns:
        The new state and the label, 1 in an alarm.
    """
    if math.isnan(score):
        return state, int(state.alarm)
    if state.alarm:
        peak = max(state.level, score)
        if score >= max(1.0, RELEASE * peak):
            return Judge(True, peak), 1
        return Judge(False, score if score >= 1.0 else 0.0), 0
    low = min(state.level, score) if score >= 1.0 else 0.0
    if score >= max(1.0, low / RELEASE):
        return Judge(True, score), 1
    return Judge(False, low), 0
