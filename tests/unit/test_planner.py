import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.features.columns import Batch
from gateway.features.planner import Planner, first_delay_ns
from gateway.features.series import Register
from gateway.model import WindowSpec


def batch_of(rows: list[tuple[int, int]]) -> Batch:
    """Rows of (series, time in ms)."""
    time_ns = np.array([t * 1_000_000 for _, t in rows], dtype=np.int64)
    size = len(rows)
    return Batch(
        np.array([s for s, _ in rows], dtype=np.int32),
        time_ns,
        np.zeros(size),
        np.arange(size, dtype=np.int32),
        np.ones(size, dtype=np.bool_),
        time_ns,
        [],
        [],
    )


def planner_of(spec: WindowSpec, *series: tuple[str, str]) -> Planner:
    register = Register({})
    for device, metric in series:
        register.number(device, metric, "W", "test")
    return Planner(spec, register)


def ends(planner: Planner) -> list[int]:
    return [d.end_ns // 1_000_000 for d in planner.due]


def test_window_ends_at_a_reading_when_it_lies_a_hop_after_the_last() -> None:
    planner = planner_of(WindowSpec(hop_s=1.0), ("pump", "power"))
    planner.done(0, 400 * 1_000_000)
    planner.note(batch_of([(0, 1500), (0, 1700), (0, 2499), (0, 2600), (0, 3700)]))
    assert ends(planner) == [1500, 2499, 3700]


def test_first_windows_are_spread_when_sources_begin_together() -> None:
    names = [f"device-{n}" for n in range(200)]
    delays_s = [first_delay_ns(name, 60.0) / 1e9 for name in names]
    assert 0 <= min(delays_s) < 0.05
    assert 0.95 < max(delays_s) <= 1.0
    assert delays_s == [first_delay_ns(name, 60.0) / 1e9 for name in names]
    planner = planner_of(WindowSpec(hop_s=1.0), *((name, "power") for name in names))
    planner.note(batch_of([(n, t) for t in range(1000, 4000, 20) for n in range(len(names))]))
    first = {d.source: d.end_ns / 1e9 for d in reversed(planner.due)}
    assert all(1 <= first[n] - delays_s[n] <= 1.021 for n in range(len(names)))


def test_every_report_is_judged_when_a_device_reports_about_once_a_hop() -> None:
    planner = planner_of(WindowSpec(hop_s=1.0), ("pump", "power"))
    times = [1000, 1960, 3010, 3990, 5000]
    planner.done(0, 0)
    planner.note(batch_of([(0, t) for t in times]))
    assert ends(planner) == times


def test_window_is_not_due_again_when_a_late_reading_comes() -> None:
    planner = planner_of(WindowSpec(hop_s=1.0), ("pump", "power"))
    planner.note(batch_of([(0, 500), (0, 1500)]))
    planner.due.clear()
    planner.note(batch_of([(0, 700), (0, 1600)]))
    assert not planner.due


def test_windows_go_on_from_the_mark_when_the_rows_after_it_are_seen_again() -> None:
    rows = [(0, t) for t in (400, 1300, 1250, 2300, 2900, 3500, 3300, 4600)]
    whole = planner_of(WindowSpec(hop_s=1.0), ("pump", "power"))
    whole.note(batch_of(rows))
    for mark_ms in ends(whole):
        resumed = planner_of(WindowSpec(hop_s=1.0), ("pump", "power"))
        resumed.done(0, mark_ms * 1_000_000)
        resumed.note(batch_of([row for row in rows if row[1] > mark_ms]))
        assert ends(resumed) == [e for e in ends(whole) if e > mark_ms]


def test_source_is_left_alone_when_it_has_too_few_channels() -> None:
    spec = WindowSpec(hop_s=1.0, min_channels=2, exclude=("*rssi*",))
    planner = planner_of(spec, ("plug", "power"), ("plug", "wifi.rssi"))
    planner.note(batch_of([(0, 500), (1, 500), (0, 1500)]))
    assert not planner.due


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400)), min_size=1, max_size=60),
    st.lists(st.integers(1, 60), max_size=8),
)
@settings(deadline=None)
def test_windows_are_the_same_when_the_readings_are_batched_otherwise(
    steps: list[tuple[int, int]], cuts: list[int]
) -> None:
    at, rows = 0, []
    for series, step in steps:
        at += step
        rows.append((series, at))
    names = [("a", "x"), ("b", "x"), ("c", "x")]
    whole, parts = (planner_of(WindowSpec(hop_s=0.25), *names) for _ in range(2))
    whole.note(batch_of(rows))
    bounds = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
    for low, high in itertools.pairwise(bounds):
        parts.note(batch_of(rows[low:high]))
    assert sorted((d.source, d.end_ns) for d in whole.due) == sorted(
        (d.source, d.end_ns) for d in parts.due
    )
