"""Writes ``testcases/``: a machine being learned, one that runs as learned, and one that does not.

Usage: ``make model``. The golden results come from `Normal` in NumPy, not from the model.
"""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from normal import MIN_ROWS, WINDOW, Judge, Normal, evidence
from numpy.typing import NDArray
from plugin import Memory

NAMES = ("current", "flow", "pressure", "temperature")
CENTRE = np.array([4.2, 31.0, 1.8, 46.0])
SPREAD = np.array([0.1, 0.8, 0.05, 0.6])


def main() -> None:
    """Write three cases."""
    random = np.random.default_rng(7)
    rows = random.normal(CENTRE, SPREAD, (300, len(NAMES)))
    normal = Normal.fit(rows)
    steady = random.normal(CENTRE, SPREAD, (WINDOW, len(NAMES)))
    worn = steady + np.array([0.0, 0.0, 0.0, 6.0])
    gaps = worn.copy()
    gaps[: WINDOW - MIN_ROWS, 3] = np.nan
    learned = Memory(NAMES, np.empty((0, len(NAMES)), np.float32), normal, Judge())
    write("learning", None, steady, {"label": "normal", "suppress": True})
    for name, window in (("steady", steady), ("worn", worn), ("worn-with-gaps", gaps)):
        score = expected_score(normal, window)
        label = "anomaly" if score >= 1 else "normal"
        write(name, learned.pack(), window, {"label": label, "score": score, "suppress": False})


def expected_score(normal: Normal, window: NDArray[np.float64]) -> float:
    """Return the score of a window [20, M] as `Normal` defines it."""
    shift = np.zeros_like(normal.mean)
    shift[: window.shape[1]] = np.nanmean(window, axis=0) - normal.mean[: window.shape[1]]
    total = (evidence(shift, normal.scale, normal.dof) * normal.mask).sum()
    return round(float(total / normal.threshold[0]), 4)


def write(
    name: str, state: bytes | None, window: NDArray[np.float64], expected: dict[str, Any]
) -> None:
    """Write one case's input and what must come of it."""
    columns = {
        channel: [None if np.isnan(v) else round(float(v), 4) for v in window[:, c]]
        for c, channel in enumerate(NAMES)
    }
    given: dict[str, Any] = {"source": "pump-1", "end_s": 1000.0, "values": columns}
    if state:
        given["state"] = base64.b64encode(state).decode()
    folder = Path(__file__).parent / "testcases" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in (
        ("input.json", {"windows": [given]}),
        ("expected.json", {"tolerance": 0.02, "results": [expected]}),
    ):
        (folder / file).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
