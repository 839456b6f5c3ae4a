"""How long each stage takes: histograms for Prometheus, and recent percentiles for people."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Histogram

STAGES = ("decode", "store", "window", "frame", "infer", "publish", "total")
"""``frame`` is from a frame's capture to a plugin's taking it, ``total`` from a message's arrival,
or a frame's capture, to the PubAck of the outcome that it made due."""

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)
_RECENT = 4096


class Latencies:
    """Seconds by stage.

    Args:
        registry: Where the histograms are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "weir_stage_seconds", "Time by stage", ["stage"], buckets=_BUCKETS, registry=registry
        )
        self._by_stage = {stage: self._histogram.labels(stage) for stage in STAGES}
        self._recent: dict[str, deque[float]] = {stage: deque(maxlen=_RECENT) for stage in STAGES}

    def observe(self, stage: str, seconds: float) -> None:
        """Count one call of a stage, or for ``total`` one outcome."""
        self._by_stage[stage].observe(seconds)
        self._recent[stage].append(seconds)

    def percentiles_ms(self, stage: str, which: Sequence[int] = (50, 95)) -> dict[str, float]:
        """Return ``{"p50": ms, "p95": ms}`` of the last 4,096; empty where there are none."""
        recent = self._recent[stage]
        if not recent:
            return {}
        values = np.percentile(np.array(recent), which) * 1000
        return {f"p{p}": round(float(v), 3) for p, v in zip(which, values, strict=True)}
