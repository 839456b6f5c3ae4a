"""Golden frames: pictures shown one after the other, and how wrong ones are told."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gateway.errors import PluginError
from gateway.inference.golden import Case, load_cases
from gateway.inference.golden_frames import MAX_FRAMES, MAX_PICTURE_BYTES
from gateway.inference.manifest import Manifest
from gateway.model import Frames, Result, Windows

TABLE = {
    "api": 1,
    "name": "p",
    "version": "1",
    "title": "T",
    "detect": {"head": "yolo"},
    "outcome": {"domain": "d", "asset": "a", "kind": "k", "labels": ["empty", "people"]},
}
FRAME = {"camera": "a", "time_s": 1.0, "image": "a.png"}


def load(tmp_path: Path, given: Any, expected: Any) -> Case:  # noqa: ANN401 - any JSON
    folder = tmp_path / "testcases" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.json").write_text(json.dumps(given), encoding="utf-8")
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    cv2.imwrite(str(folder / "a.png"), np.full((4, 6, 3), 7, np.uint8))
    (case,) = load_cases(Manifest.model_validate(TABLE, context=tmp_path))
    return case


async def test_frames_are_shown_in_order_with_the_state_before(tmp_path: Path) -> None:
    frames = [FRAME, FRAME | {"time_s": 2}, FRAME | {"camera": "b"}, FRAME | {"time_s": 3}]
    case = load(tmp_path, {"frames": frames}, {"results": [None] * 4})
    asked = []

    async def ask(batch: Windows | Frames, states: list[bytes | None]) -> list[Result]:
        assert isinstance(batch, Frames)
        (frame,) = batch.frames
        assert frame.image.shape == (4, 6, 3)
        asked.append((frame.camera, frame.captured_ns // 10**9, states))
        return [Result("empty", 0, state=b"%d" % len(asked) if len(asked) != 2 else None)]

    assert await case.play(ask) == ""
    assert asked == [
        ("golden/one/a", 1, [None]),
        ("golden/one/a", 2, [b"1"]),
        ("golden/one/b", 1, [None]),
        ("golden/one/a", 3, [b"1"]),
    ]


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ({"label": "people", "numbers": {"n": 2}}, ""),
        ({"numbers": {"n": 2.1}}, "frame 0: n is 2, expected 2.1"),
        ({"numbers": {"m": 1}}, "frame 0: m is None, expected 1.0"),
        ({"suppress": True}, "frame 0: suppress is False, expected True"),
    ],
)
async def test_difference_is_told_when_numbers_are_others(
    tmp_path: Path, expected: dict[str, Any], difference: str
) -> None:
    case = load(tmp_path, {"frames": [FRAME]}, {"results": [expected]})

    async def ask(batch: Windows | Frames, states: list[bytes | None]) -> list[Result]:
        del batch, states
        return [Result("people", 1, numbers={"n": 2})]

    assert await case.play(ask) == difference


async def test_difference_is_told_when_a_picture_is_gone(tmp_path: Path) -> None:
    case = load(tmp_path, {"frames": [FRAME]}, {"results": [None]})
    (tmp_path / "testcases" / "one" / "a.png").unlink()

    async def ask(batch: Windows | Frames, states: list[bytes | None]) -> list[Result]:
        raise AssertionError

    assert (await case.play(ask)).startswith("frame 0: a.png is not readable")


@pytest.mark.parametrize(
    ("frames", "field", "reason"),
    [
        ([], "frames", "must have frames"),
        ([FRAME | {"image": "../a.png"}], "frames.0.image", "inside the plugin's folder"),
        ([FRAME | {"image": "b.png"}], "frames.0.image", "b.png: No such file"),
        ([FRAME | {"image": "input.json"}], "frames.0.image", "is not a JPEG or PNG"),
        ([FRAME | {"image": "large.jpg"}], "frames.0.image", f"at most {MAX_PICTURE_BYTES}"),
        ([FRAME, FRAME], "frames.1.time_s", "1 is not later than the frame before of 'a'"),
        ([FRAME] * (MAX_FRAMES + 1), "frames", f"at most {MAX_FRAMES}"),
    ],
)
def test_case_is_refused_when_a_frame_is_wrong(
    tmp_path: Path, frames: list[Any], field: str, reason: str
) -> None:
    folder = tmp_path / "testcases" / "one"
    folder.mkdir(parents=True)
    (folder / "large.jpg").write_bytes(bytes(MAX_PICTURE_BYTES + 1))
    with pytest.raises(PluginError) as caught:
        load(tmp_path, {"frames": frames}, {"results": [None] * len(frames)})
    assert Path(caught.value.file).name == "input.json"
    assert caught.value.field.startswith(field)
    assert reason in caught.value.reason


def test_windows_are_refused_when_the_plugin_looks_at_frames(tmp_path: Path) -> None:
    window = {"end_s": 1, "values": {"t": [1]}}
    with pytest.raises(PluginError, match="must have frames, and nothing else"):
        load(tmp_path, {"windows": [window]}, {"results": [None]})
