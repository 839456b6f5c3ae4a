"""Real persons, a real detector, and a count made by eye."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gateway.inference.manifest import load_manifest
from gateway.inference.models import load_model
from gateway.inference.vision.fitted import Fitted
from gateway.inference.vision.watcher import Watcher
from gateway.model import Result

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TESTS = Path(__file__).parents[1]
BY_EYE = json.loads((TESTS / "data" / "person_crossings.json").read_text(encoding="utf-8"))
START_NS = 1_700_000_000_000_000_000

pytestmark = pytest.mark.skipif(
    not (SHARED / "FastestDet.onnx").is_file(), reason="the clip and the detector are not here"
)


def outcomes(tmp_path: Path, step: int) -> list[tuple[float, Result]]:
    """Watch every ``step``-th frame of the clip; return what is reported, and when, in s."""
    folder = tmp_path / "person-line"
    shutil.copytree(TESTS / "plugins" / "person-line", folder)
    shutil.copy(SHARED / "FastestDet.onnx", folder)
    manifest = load_manifest(folder)
    watcher = Watcher(load_model(manifest), manifest)
    clip = cv2.VideoCapture(str(SHARED / "person.mp4"))
    found = []
    state: bytes | None = None
    for i in range(10_000):
        if not clip.grab():
            break
        if i % step:
            continue
        image = clip.retrieve()[1]
        fitted = Fitted(
            ["a"],
            np.array([START_NS + i * 100_000_000]),
            [(image.shape[1], image.shape[0])],
            [{}],
            cv2.resize(image, watcher.size)[None].astype(np.uint8),
        )
        (result,) = watcher.watch(fitted, [state])
        state = result.state or state
        if not result.suppress:
            found.append((i / 10, result))
    clip.release()
    return found


def by_eye(line: str) -> list[float]:
    crossings: list[dict[str, Any]] = BY_EYE["crossings"]
    return [each["time_s"] for each in crossings if each["line"] == line]


def counted(found: list[tuple[float, Result]], number: str) -> list[float]:
    return [t for t, r in found for _ in range(round(r.numbers[number]))]


@pytest.mark.parametrize(("step", "lines"), [(1, ("leave", "enter")), (2, ("leave",))])
def test_crossings_are_those_counted_by_eye(
    tmp_path: Path, step: int, lines: tuple[str, ...]
) -> None:
    """At 5 fps the detector finds one person, cut off by the lower edge, only beyond ``enter``."""
    found = outcomes(tmp_path, step)
    for line in lines:
        seen = by_eye(line)
        told = counted(found, f"{line}_in")
        assert abs(len(told) - len(seen)) <= 0.05 * len(seen), (line, told)
        # A count comes at most a second after the report before it.
        assert all(-0.3 <= t - s <= 1.5 for t, s in zip(told, seen, strict=True)), (line, told)
        assert counted(found, f"{line}_out") == []


def test_outcomes_tile_the_clip(tmp_path: Path) -> None:
    found = outcomes(tmp_path, 5)
    starts = [round((r.since_ns - START_NS) / 1e8) / 10 for _, r in found]
    assert starts == [0.0, *[t for t, _ in found][:-1]]
