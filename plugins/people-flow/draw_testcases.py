"""Writes ``testcases/``: what the demo's camera sees when nobody is there, and when one comes in.

Usage, in the project's root: ``PYTHONPATH=. python plugins/people-flow/draw_testcases.py``. What is
expected comes from the truth of the scene, not from the model.
"""

import json
from pathlib import Path
from typing import Any

import cv2

from gateway.demo.scene import FPS, Crossing, Scene

SIZE = (320, 180)
SEED = 4
STEP_S = 2 / FPS
"""Of the scene, for each frame of a case: twice as fast as it was, so that few frames do."""
FRAMES = 14
BEFORE, COUNTED = 6, 10
"""Frames until the person is on the line, and until it has surely been counted. The latter is one
second: nothing is told before a state has lasted so long, so that the sum still stands then."""

Wanted = dict[int, dict[str, Any]]


def main() -> None:
    """Write two cases."""
    scene = Scene(SEED, SIZE)
    quiet_s = next(i / FPS for i in range(6000) if not _seen(scene, i / FPS))
    write(scene, "nobody", quiet_s, {i: {"label": "empty", "score": 0.0} for i in range(FRAMES)})
    crossing = next(each for each in scene.crossings(600.0) if _alone(scene, each))
    comes: Wanted = {
        0: {"label": "empty", "numbers": {"door_in": 0.0, "door_out": 0.0}},
        COUNTED: {"score": 1.0, "numbers": {"door_in": 1.0, "door_out": 0.0}},
        FRAMES - 1: {"label": "occupied", "score": 1.0, "numbers": {"hall": 1.0}},
    }
    write(scene, "somebody-comes-in", crossing.time_s - BEFORE * STEP_S, comes)


def write(scene: Scene, name: str, from_s: float, wanted: Wanted) -> None:
    """Write one case: its pictures, and what some of them must give."""
    folder = Path(__file__).parent / "testcases" / name
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for i in range(FRAMES):
        file = f"{i:02}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, 80]
        cv2.imwrite(str(folder / file), scene.frame(from_s + i * STEP_S), quality)
        shown.append({"camera": "entrance", "time_s": round(i / FPS, 1), "image": file})
    results = [wanted.get(i) for i in range(FRAMES)]
    for file, content in (
        ("input.json", {"frames": shown}),
        ("expected.json", {"tolerance": 0.01, "results": results}),
    ):
        (folder / file).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _seen(scene: Scene, from_s: float) -> list[set[int]]:
    """Return who is there, for the frames of a case in which anybody is."""
    frames = [{p.id for p in scene.people(from_s + i * STEP_S)} for i in range(FRAMES)]
    return [ids for ids in frames if ids]


def _alone(scene: Scene, crossing: Crossing) -> bool:
    """Say whether somebody comes in and is alone all the time."""
    if crossing.way != 1 or crossing.time_s < BEFORE * STEP_S:
        return False
    seen = _seen(scene, crossing.time_s - BEFORE * STEP_S)
    return len(seen) == FRAMES and all(ids == {crossing.id} for ids in seen)


if __name__ == "__main__":
    main()
