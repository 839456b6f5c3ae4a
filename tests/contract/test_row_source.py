"""The rows of a window are the same from memory and from DuckDB."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.features.store import DuckStore
from gateway.model import Decoded, RawMessage, Reading

SECOND = 1_000_000_000
BASE = 1_790_000_000 * SECOND


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckStore]:
    opened = DuckStore(tmp_path / "weir.duckdb", {}, keep_ns=600 * SECOND)
    yield opened
    opened.close()


def put(store: DuckStore, rows: list[tuple[str, int, float]]) -> None:
    items = []
    for metric, time_ns, value in rows:
        reading = Reading("pump", metric, value, "W", time_ns, True)
        message = RawMessage("t", f"{metric}{time_ns}{value}".encode(), time_ns)
        items.append((message, Decoded("json", "pump", [reading], [])))
    store.recent.append(store.append(items).batch)


@pytest.mark.parametrize("order", ["in_order", "shuffled"])
def test_rows_are_the_same_when_read_from_memory_or_duckdb(store: DuckStore, order: str) -> None:
    random = np.random.default_rng(5)
    at = np.arange(500)
    if order == "shuffled":
        random.shuffle(at)
    for part in np.array_split(at, 7):
        put(store, [("power", BASE + int(t) * SECOND, float(t) / 3) for t in part])
        put(store, [("temp", BASE + int(t) * SECOND, -float(t)) for t in part])
    for start, end in ((0, 500), (10, 20), (499, 600), (-50, 0), (100, 100)):
        for series in (0, 1):
            window = (series, BASE + start * SECOND, BASE + end * SECOND)
            ours, truth = store.recent.rows(*window), store.rows(*window)
            np.testing.assert_array_equal(ours[0], truth[0])
            np.testing.assert_array_equal(ours[1], truth[1])
            assert len(truth[0]) == max(0, min(end, 499) - max(start, -1))


def test_memory_says_what_it_lost_when_a_ring_overflows(store: DuckStore) -> None:
    store.recent.keep_ns = 10 * SECOND
    for t in range(0, 1000, 5):
        put(store, [("power", BASE + (t + i) * SECOND, float(t)) for i in range(5)])
    assert not store.recent.covers(0, BASE)
    since = next(t for t in range(1000) if store.recent.covers(0, BASE + t * SECOND))
    window = (0, BASE + since * SECOND, BASE + 1000 * SECOND)
    np.testing.assert_array_equal(store.recent.rows(*window)[0], store.rows(*window)[0])
    assert 10 < 1000 - since < 1000
