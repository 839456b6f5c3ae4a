"""Frames in a plugin's process: they come there through shared memory, in the size it wants."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import PluginError
from gateway.inference.manifest import load_manifest
from gateway.inference.port import State
from gateway.inference.runner import WorkerRunner
from gateway.inference.slots import SLOTS, Slots
from gateway.model import Frame, Frames, Points
from tests.plugins.samples import sample


def frame(camera: str, value: int, size: tuple[int, int] = (64, 64)) -> Frame:
    image = np.full((size[1], size[0], 3), value, np.uint8)
    return Frame(camera, 1, 1_000_000_000, image)


def frames(*each: Frame, places: dict[str, Points] | None = None) -> Frames:
    return Frames(list(each), [places or {} for _ in each])


@asynccontextmanager
async def running(name: str = "bright") -> AsyncIterator[WorkerRunner]:
    runner = WorkerRunner(sample(name))
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_each_frame_gets_its_result_when_several_cameras_send() -> None:
    async with running() as runner:
        batch = frames(frame("a", 10), frame("b", 200, (128, 32)), places={"spot": ((0.25, 0.5),)})
        results = await runner.evaluate(batch, [None, b"7"])
    assert [(r.label, r.score) for r in results] == [("dark", 10.0), ("light", 200.0)]
    assert [r.numbers["before"] for r in results] == [0, 7]
    assert [r.state for r in results] == [b"1", b"8"]
    assert [r.numbers["width"] for r in results] == [64, 128]
    assert [r.numbers["corner"] for r in results] == [114, 114]  # the letterbox's grey
    assert [r.numbers["x"] for r in results] == [0.25, 0.25]
    assert results[0].seen[0].label == "room"


async def test_last_pictures_are_not_seen_again_when_the_next_batch_is_smaller() -> None:
    async with running() as runner:
        full = frames(*(frame(str(i), 10 + i) for i in range(SLOTS)))
        first = await runner.evaluate(full, [None] * SLOTS)
        second = await runner.evaluate(frames(frame("x", 99)), [None])
    assert [r.score for r in first] == [10.0 + i for i in range(SLOTS)]
    assert [r.score for r in second] == [99.0]


@pytest.mark.parametrize(("size", "here"), [((64, 64), True), ((1300, 1000), False)])
async def test_others_run_meanwhile_when_a_picture_takes_long_to_fit(
    size: tuple[int, int], here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    fit = Slots.fit

    def noted(slots: Slots, frames: list[Frame], *, letterbox: bool) -> None:
        threads.append(threading.current_thread())
        fit(slots, frames, letterbox=letterbox)

    async with running() as runner:
        monkeypatch.setattr(Slots, "fit", noted)
        [result] = await runner.evaluate(frames(frame("a", 200, size)), [None])
    assert (result.label, result.score, result.numbers["width"]) == ("light", 200.0, size[0])
    assert [thread is threading.main_thread() for thread in threads] == [here]


async def test_call_is_refused_when_it_has_more_frames_than_slots() -> None:
    async with running() as runner:
        full = frames(*(frame(str(i), 10) for i in range(SLOTS + 1)))
        with pytest.raises(ValueError, match=f"{SLOTS + 1} frames are over {SLOTS}"):
            await runner.evaluate(full, [None] * (SLOTS + 1))
        assert runner.health.state is State.HEALTHY


async def test_memory_is_given_back_when_plugins_come_and_go() -> None:
    async with running() as runner:
        await runner.evaluate(frames(frame("a", 10)), [None])
    before = open_files()
    for _ in range(3):
        async with running() as runner:
            await runner.evaluate(frames(frame("a", 10)), [None])
    assert open_files() == before


async def test_plugin_is_set_aside_when_no_size_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "bright"
    folder.mkdir()
    source = Path(__file__).parents[1] / "plugins" / "bright"
    text = (source / "plugin.toml").read_text(encoding="utf-8")
    (folder / "plugin.toml").write_text(text.replace("width = 32\nheight = 16\n", ""), "utf-8")
    (folder / "plugin.py").write_bytes((source / "plugin.py").read_bytes())
    with pytest.raises(PluginError, match="frame"):
        await WorkerRunner(load_manifest(folder)).start()
