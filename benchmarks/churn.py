"""Days of readings through the store's window: does its file stay bounded, do queries stay quick?

python -m benchmarks.churn                              # 30 days at 1,000/s through 24 h: long
python -m benchmarks.churn --rate 100 --days 5

Time is the readings' own: a day of them takes as long as the disk needs. Readings go through the
store's own insert, retention and checkpoint; decoding is left out. Live window: the same rows alone
in a new file.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import psutil

from benchmarks.path import machine
from gateway.features import Bounds, Mark
from gateway.features.columns import Batch
from gateway.features.rows import ReadingInserter
from gateway.features.store import DuckStore
from gateway.features.tables import SentOutcome

_DAY_S = 86_400
_STEP_S = 60  # of readings in one transaction
_SWEEP_S = 600
_WINDOW_H = 24.0
_OUTCOMES_PER_S = 3
_METRICS = 3


class Day(NamedTuple):
    """The store at the end of a day of readings.

    Attributes:
        rows: Readings in it.
        file_mb: Its file, with the write-ahead log.
        rss_mb: This process.
        window_ms: The last 128 s of one series, median.
        overview_ms: Averages of all series over the last hour, median.
        sweep_ms: Retention and checkpoint, median of the day.
        took_s: How long the day took.
    """

    day: float
    rows: int
    file_mb: float
    rss_mb: float
    window_ms: float
    overview_ms: float
    sweep_ms: float
    took_s: float


class Churn:
    """A store through which days of readings flow.

    Args:
        path: Where its file is made.
        rate: Readings a second.
        series: Of how many series.
    """

    def __init__(self, path: Path, rate: int, series: int) -> None:
        self.store = DuckStore(path, {}, int(600 * 1e9))
        for number in range(series):
            device = f"device-{number // _METRICS}"
            self.store.register.number(device, f"metric-{number % _METRICS}", "C", "churn")
        self.store.append([])  # writes the series
        self._writing = self.store.cursor()
        self._inserter = ReadingInserter(self._writing)
        self._rate, self._series = rate, series
        self._random = np.random.default_rng(1)
        self._sent = 0
        self.now_s = int(time.time()) - 3600  # of the readings

    def step(self) -> None:
        """Store a minute of readings in one transaction."""
        count = self._rate * _STEP_S
        time_ns = self.now_s * 10**9 + np.arange(count, dtype=np.int64) * (10**9 // self._rate)
        batch = Batch(
            (np.arange(count, dtype=np.int64) % self._series).astype(np.int32),
            time_ns // 1000 * 1000,
            np.round(20 + self._random.standard_normal(count), 2),
            np.zeros(count, np.int32),
            np.zeros(count, np.bool_),
            time_ns,
            [],
            [],
        )
        self._writing.begin()
        self._inserter.insert(batch)
        self._writing.commit()
        self.store.recent.append(batch)
        self.now_s += _STEP_S

    def sweep(self) -> float:
        """Write the marks and outcomes of ten minutes, sweep; return the seconds that it took."""
        marks = {f"device-{n}": Mark(self.now_s * 10**9) for n in range(self._series // _METRICS)}
        sent = [self._outcome(n) for n in range(_OUTCOMES_PER_S * _SWEEP_S)]
        self.store.write_marks({"churn": marks}, sent)
        # Age is counted from now, and the readings' now is another one.
        age_s = time.time() - self.now_s + _WINDOW_H * 3600
        began = time.perf_counter()
        self.store.sweep(Bounds(age_s, 10**10, 10**13))
        return time.perf_counter() - began

    def _outcome(self, number: int) -> SentOutcome:
        self._sent += 1
        at_ns = (self.now_s - number) * 10**9
        return SentOutcome(
            f"{self._sent:026}", at_ns, "device-1", "churn", at_ns, "x", 1.0, "x" * 400, at_ns
        )

    def query(self) -> tuple[float, float]:
        """Return the medians (ms) of a window of one series, and of an overview of all."""
        windows, overviews = [], []
        for number in range(20):
            began = time.perf_counter()
            now_ns = self.now_s * 10**9
            self.store.rows(number % self._series, now_ns - 128 * 10**9, now_ns)
            windows.append(time.perf_counter() - began)
        with self.store.cursor() as cursor:
            for _ in range(5):
                began = time.perf_counter()
                cursor.execute(
                    "SELECT series, avg(value), max(value) FROM reading"
                    " WHERE time > make_timestamp(?) GROUP BY series",
                    [(self.now_s - 3600) * 10**6],
                ).fetchall()
                overviews.append(time.perf_counter() - began)
        return 1000 * float(np.median(windows)), 1000 * float(np.median(overviews))

    def rows(self) -> int:
        """Return how many readings are in it."""
        with self.store.cursor() as cursor:
            found = cursor.execute("SELECT count(*) FROM reading").fetchone()
        return int(found[0]) if found else 0


def run(rate: int, days: float, series: int, folder: Path) -> tuple[list[Day], float]:
    """Let days of readings through a store.

    Returns:
        The store at the end of each day, and the size (MB) of what is live alone in a new file.
    """
    path = folder / "churn.duckdb"
    churn, seen = Churn(path, rate, series), list[Day]()
    sweeps, day_began = list[float](), time.perf_counter()
    steps = int(days * _DAY_S) // _STEP_S
    for step in range(1, steps + 1):
        churn.step()
        if step * _STEP_S % _SWEEP_S == 0:
            sweeps.append(churn.sweep())
        if step * _STEP_S % _DAY_S == 0 or step == steps:
            window_ms, overview_ms = churn.query()
            took_s = time.perf_counter() - day_began
            day = Day(
                step * _STEP_S / _DAY_S, churn.rows(), _mb(path), _rss_mb(), window_ms,
                overview_ms, 1000 * float(np.median(sweeps)), took_s,
            )  # fmt: skip
            seen.append(day)
            print(_line(day), flush=True)
            sweeps, day_began = [], time.perf_counter()
    churn.store.close()
    return seen, _live_mb(path, folder / "live.duckdb")


def _live_mb(path: Path, copy: Path) -> float:
    """Return the size of a new file that holds the same tables."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS old (READ_ONLY)")
        connection.execute(f"ATTACH '{copy}' AS new")
        connection.execute("COPY FROM DATABASE old TO new")
        connection.execute("CHECKPOINT new")
    return _mb(copy)


def _mb(path: Path) -> float:
    wal = path.with_name(path.name + ".wal")
    return sum(file.stat().st_size for file in (path, wal) if file.exists()) / 1e6


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def _line(day: Day) -> str:
    return (
        f"{day.day:5.1f} {day.rows:12,} {day.file_mb:8,.0f} MB {day.rss_mb:6.0f} MB"
        f" {day.window_ms:7.1f} ms {day.overview_ms:7.1f} ms {day.sweep_ms:7.0f} ms"
        f" {day.took_s:6.0f} s"
    )


def main() -> int:
    """Print a line for each day, and how the file compares with what is live."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.churn",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=int, default=1000, help="readings a second")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--series", type=int, default=600)
    parser.add_argument("--dir", type=Path, help="where the file is made")
    given = parser.parse_args()
    print(machine())
    print(f"{given.rate:,} readings/s, {given.series} series, a window of {_WINDOW_H:g} h")
    print("  day     readings        file    memory     window   overview      sweep    took")
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        days, live_mb = run(given.rate, given.days, given.series, Path(folder))
    last = days[-1]
    print(
        f"live window alone: {live_mb:,.0f} MB; the store's file {last.file_mb:,.0f} MB,"
        f" {last.file_mb / live_mb:.2f} times that"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
