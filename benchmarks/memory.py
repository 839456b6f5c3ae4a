"""What memory a gateway, its leaf and a plugin take under load, where it is, and where it ends.

A window of every device is an outcome each second, so that minutes hold as many as a camera tells
in days. The store begins with hours of readings, which are read once in the second minute: that
fills DuckDB's memory to its limit, for which a gateway alone would need hours. The rings of the
newest readings are full after 17 minutes.

    python -m benchmarks.memory --minutes 30
    python -m benchmarks.memory --minutes 30 --quiet
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median

import duckdb

from benchmarks.path import CONFIG, plugins
from benchmarks.stand import Stand, stand
from gateway.features.schema import OLDEST_READER, TABLES, VERSION

ROWS_BEFORE = 20_000_000
MAY_GROW_MB = 8.0
"""In the last half: what a minute's median moves by with the store's checkpoints."""
_PROCESSES = ("gateway", "leaf nats-server", "worker")
_LOADED = (0, 3)  # all of it was sent, or what the machine could
_SAMPLES_A_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Minute:
    """How it was in one minute.

    Attributes:
        messages, outcomes: Since the start, in all.
        rss_mb: Of each process, the median.
        most_mb: Of the gateway, the highest.
        anonymous_mb: Of the gateway, the median of what no file stands behind.
        duckdb_mb: What DuckDB says that it holds.
        store_mb: The store's files.
    """

    messages: int
    outcomes: int
    rss_mb: dict[str, float]
    most_mb: float
    anonymous_mb: float
    duckdb_mb: float
    store_mb: float


@dataclass(frozen=True, slots=True)
class Case:
    """What is done.

    Attributes:
        quiet: Nothing is told of the windows.
    """

    minutes: int
    rate_hz: float = 1000.0
    devices: int = 1000
    quiet: bool = False


def run(folder: Path, hub_folder: Path, case: Case) -> Iterator[Minute]:
    """Load a gateway, and yield how it was in each minute."""
    with stand(folder, hub_folder) as here:
        here.start_hub()
        dirs = plugins(folder, every=not case.quiet)
        if case.quiet:
            manifest = dirs / "bench-mean" / "plugin.toml"
            text = manifest.read_text()
            manifest.write_text(text.replace('["high", 0.95]', '["high", 1e9]'))
        here.write_config(CONFIG % {"broker": "embedded", "plugins": json.dumps(str(dirs))})
        write_readings(here.state_dir / "weir.duckdb", ROWS_BEFORE)
        here.start_gateway()
        for number in range(case.minutes):
            if number == 1:
                here.ask("/sql", "SELECT avg(value) FROM reading")
            with _load(here, case) as load:
                yield _minute(here)
            if load.returncode not in _LOADED:
                raise RuntimeError(f"the load ended with exit code {load.returncode}")


def write_readings(path: Path, rows: int) -> None:
    """Make a store with readings of the last hours, of series that nothing is heard of now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path), config={"threads": 1}) as store:
        store.execute(TABLES)
        store.execute("INSERT INTO meta VALUES (?, ?)", [VERSION, OLDEST_READER])
        store.execute(
            "INSERT INTO series SELECT i, 'old-' || i, 'value', '', 'json', 'old-' || i, ''"
            " FROM range(1000) t(i)"
        )
        store.execute(
            "INSERT INTO reading SELECT now()::TIMESTAMP - INTERVAL 8 HOUR"
            " + INTERVAL 1 MILLISECOND * i, i % 1000, random() FROM range(?) t(i)",
            [rows],
        )


def _load(here: Stand, case: Case) -> subprocess.Popen[bytes]:
    host, port = here.broker()
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", "--host", host, "--port", str(port),
         "--rate", str(case.rate_hz), "--devices", str(case.devices), "--seconds", "60"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _minute(here: Stand) -> Minute:
    began = time.monotonic()
    samples: list[dict[str, tuple[float, float]]] = []
    for number in range(1, _SAMPLES_A_MINUTE + 1):
        time.sleep(max(0.0, began + 60.0 * number / _SAMPLES_A_MINUTE - time.monotonic()))
        found = {name: each.memory_info() for name, each in here.tree().items()}
        samples.append({name: (m.rss / 1e6, (m.rss - m.shared) / 1e6) for name, m in found.items()})
    status = here.ask("/status")
    held = here.ask("/sql", "SELECT sum(memory_usage_bytes) FROM duckdb_memory()")["rows"][0][0]
    files = here.state_dir.glob("weir.duckdb*")
    return Minute(
        messages=status["messages"]["stored"],
        outcomes=status["outcomes"]["sent"],
        rss_mb={name: median(each[name][0] for each in samples) for name in _PROCESSES},
        most_mb=max(each["gateway"][0] for each in samples),
        anonymous_mb=median(each["gateway"][1] for each in samples),
        duckdb_mb=held / 1e6,
        store_mb=sum(file.stat().st_size for file in files if file.is_file()) / 1e6,
    )


def growth(minutes: list[Minute], process: str) -> tuple[float, float]:
    """Return by how many MB a process grew in the last half, and per million outcomes.

    Along the line that fits best; per million messages where there are no outcomes.
    """
    last = minutes[len(minutes) // 2 :]
    told = [m.outcomes / 1e6 for m in last]
    if told[0] == told[-1]:
        told = [m.messages / 1e6 for m in last]
    slope, _ = linear_regression(told, [m.rss_mb[process] for m in last])
    return slope * (told[-1] - told[0]), slope


def report(minutes: Iterator[Minute]) -> bool:
    """Print a line for each minute, and the verdict; return whether nothing grows any more."""
    print("MB; the highest of each minute, else its median")
    print("min   messages   outcomes  gateway highest  anon. DuckDB  store   leaf plugin")
    seen: list[Minute] = []
    for number, m in enumerate(minutes, start=1):
        seen.append(m)
        gateway, leaf, worker = (m.rss_mb[name] for name in _PROCESSES)
        print(
            f"{number:>3} {m.messages:>10,} {m.outcomes:>10,}  {gateway:7.1f} {m.most_mb:7.1f}"
            f" {m.anonymous_mb:6.1f} {m.duckdb_mb:6.1f} {m.store_mb:6.0f} {leaf:6.1f}"
            f" {worker:6.1f}",
            flush=True,
        )
    of = "outcomes" if seen[-1].outcomes > seen[len(seen) // 2].outcomes else "messages"
    flat = True
    for process in _PROCESSES:
        grew_mb, slope = growth(seen, process)
        flat &= grew_mb <= MAY_GROW_MB
        print(f"last half: {process} {grew_mb:+.1f} MB, {slope:+.1f} MB per million {of}")
    print("flat" if flat else f"it grows: more than {MAY_GROW_MB:g} MB in the last half")
    return flat


def main() -> int:
    """Load a gateway, print the table, and return 0 if nothing grows any more."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--minutes", type=int, default=30, help="at least 4")
    parser.add_argument("--rate", type=float, default=1000.0, help="messages per second")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--quiet", action="store_true", help="no outcomes, only readings")
    options = parser.parse_args()
    case = Case(max(4, options.minutes), options.rate, options.devices, options.quiet)
    with (
        tempfile.TemporaryDirectory(prefix="weir-memory-") as folder,
        tempfile.TemporaryDirectory(prefix="weir-hub-", dir="/dev/shm") as hub_folder,
    ):
        return 0 if report(run(Path(folder), Path(hub_folder), case)) else 1


if __name__ == "__main__":
    sys.exit(main())
