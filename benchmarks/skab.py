"""The shipped anomaly plugin on SKAB's labelled data, beside the published results.

Protocol of the data set's README: per file, learn on the first 400 rows, predict each later row
from the rows up to it; one confusion matrix over all files. The plugin runs as it is shipped, in
its own process with its own model; only ``learn_rows`` is the protocol's.
"""

import asyncio
import csv
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.inference.manifest import load_manifest
from gateway.inference.runner import WorkerRunner
from gateway.model import Channel, Windows

LEARN_ROWS = 400
PUBLISHED = (
    ("Conv-AE", 0.78, 13.55, 28.02),
    ("MSET", 0.78, 39.73, 14.13),
    ("T2+Q (PCA)", 0.76, 26.62, 24.92),
    ("LSTM-AE", 0.74, 29.96, 25.92),
    ("Isolation forest", 0.29, 2.56, 82.89),
)
_PLUGIN = Path(__file__).parent.parent / "plugins" / "machine-anomaly"
_NO_VALUES = ("datetime", "anomaly", "changepoint")


@dataclass(frozen=True, slots=True)
class Recording:
    """One file.

    Attributes:
        rows: float64 [N, M].
        labels: bool [N], or None where the file has none.
    """

    name: str
    channels: tuple[Channel, ...]
    rows: NDArray[np.float64]
    labels: NDArray[np.bool_] | None


def read(path: Path, root: Path) -> Recording:
    """Read a file of the data set."""
    with path.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file, delimiter=";"))
    table = np.genfromtxt(path, delimiter=";", skip_header=1)
    taken = [i for i, name in enumerate(header) if name not in _NO_VALUES]
    labels = table[:, header.index("anomaly")] > 0 if "anomaly" in header else None
    channels = tuple(Channel(header[i], None) for i in taken)
    return Recording(path.relative_to(root).stem, channels, table[:, taken], labels)


async def predict(recordings: list[Recording]) -> list[NDArray[np.bool_]]:
    """Return for each recording whether each row is in an alarm; the first 400 never are."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "machine-anomaly"
        shutil.copytree(_PLUGIN, folder)
        manifest = folder / "plugin.toml"
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(text.replace("learn_rows = 300", f"learn_rows = {LEARN_ROWS}"))
        runner = WorkerRunner(load_manifest(folder))
        await runner.start()
        try:
            return await _predict(runner, recordings)
        finally:
            await runner.stop()


async def _predict(runner: WorkerRunner, recordings: list[Recording]) -> list[NDArray[np.bool_]]:
    spec = runner.manifest.window_spec
    alarms = [np.zeros(len(each.rows), dtype=np.bool_) for each in recordings]
    states: list[bytes | None] = [None] * len(recordings)
    for t in range(max(len(each.rows) for each in recordings)):
        now = [i for i, each in enumerate(recordings) if t < len(each.rows)]
        values = np.full((len(now), spec.steps, spec.max_channels), np.nan, dtype=np.float32)
        for b, i in enumerate(now):
            seen = recordings[i].rows[max(0, t + 1 - spec.steps) : t + 1]
            values[b, spec.steps - len(seen) :, : seen.shape[1]] = seen
        end_ns = np.full(len(now), (t + 1) * 10**9, dtype=np.int64)
        windows = Windows(
            sources=[recordings[i].name for i in now],
            start_ns=end_ns - int(spec.length_s * 1e9),
            end_ns=end_ns,
            channels=[recordings[i].channels for i in now],
            values=values,
            features=np.empty((len(now), 0), dtype=np.float32),
            feature_names=(),
            received_ns=end_ns,
        )
        results = await runner.evaluate(windows, [states[i] for i in now])
        for i, result in zip(now, results, strict=True):
            states[i] = result.state or states[i]
            alarms[i][t] = result.label == "anomaly"
    return alarms


def confusion(truth: NDArray[np.bool_], alarm: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return true positives, false positives, false negatives, true negatives."""
    cells = (truth & alarm, ~truth & alarm, truth & ~alarm, ~truth & ~alarm)
    return np.array([cell.sum() for cell in cells], dtype=np.int64)


def figures(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return F1, false alarms in % of the normal rows, missed in % of the anomalous ones."""
    tp, fp, fn, tn = (float(c) for c in counts)
    f1 = 2 * tp / max(2 * tp + fp + fn, 1.0)
    return f1, 100 * fp / max(fp + tn, 1.0), 100 * fn / max(fn + tp, 1.0)


def main(data: Path) -> tuple[float, float, float] | None:
    """Print the tables; return our figures, or None without data."""
    if not data.is_dir():
        print(f"skab: no data at {data}: skipped")
        return None
    recordings = [read(path, data) for path in sorted(data.rglob("*.csv"))]
    alarms = asyncio.run(predict(recordings))
    total = np.zeros(4, dtype=np.int64)
    files = sum(each.labels is not None for each in recordings)
    print(f"anomalies in SKAB, {files} labelled files, machine-anomaly as shipped")
    print(f"{'':<28}{'F1':>7}{'false alarms %':>16}{'missed %':>10}")
    for recording, alarm in zip(recordings, alarms, strict=True):
        judged = alarm[LEARN_ROWS:]
        if recording.labels is None:
            print(f"  {recording.name:<26}{'':>7}{100 * judged.mean():>16.2f}{'no faults':>10}")
            continue
        counts = confusion(recording.labels[LEARN_ROWS:], judged)
        total += counts
        _line(f"  {recording.name}", *figures(counts))
    ours = figures(total)
    _line("machine-anomaly, these files", *ours)
    for name, *published in PUBLISHED:
        _line(f"{name}, all files", *published)
    return ours


def _line(name: str, f1: float, false_alarms: float, missed: float) -> None:
    print(f"{name:<28}{f1:>7.3f}{false_alarms:>16.2f}{missed:>10.2f}")


if __name__ == "__main__":
    default = Path(__file__).parents[1].parent / "shared" / "data" / "skab"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
