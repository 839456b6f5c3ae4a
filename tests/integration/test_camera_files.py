"""Cameras that are files, and the folders that cameras' own files are dropped into."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import pytest

from gateway.errors import CameraAwayError
from gateway.ingest.cameras import CameraDirectory, Cameras, probe
from gateway.ingest.cameras.directory import Change
from gateway.ingest.cameras.settings import check_camera
from gateway.model import Frame, FrameSpec
from tests.mjpeg_server import image, jpeg

LIMIT_S = 5.0


@pytest.fixture
async def cameras() -> AsyncIterator[Cameras]:
    made = Cameras()
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a clip of 0.5 s at 20 frames/s."""
    file = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 20, (320, 240))
    for number in range(10):
        writer.write(image((320, 240), number))
    writer.release()
    return file


def test_clip_is_told_when_it_is_tried(clip: Path, tmp_path: Path) -> None:
    relative = check_camera({"url": "file:clip.avi"}, tmp_path / "c.toml")
    found = probe(relative, LIMIT_S)
    assert (found.codec, found.width, found.height, found.fps) == ("mjpeg", 320, 240, 20)
    text = check_camera({"url": "file:c.toml"}, tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text("no video")
    with pytest.raises(CameraAwayError, match="holds no video"):
        probe(text, LIMIT_S)
    clip.unlink()
    with pytest.raises(CameraAwayError, match="no such file"):
        probe(relative, LIMIT_S)


async def test_clip_is_looped_at_its_own_pace_when_it_is_played(
    cameras: Cameras, clip: Path, tmp_path: Path
) -> None:
    cameras.configure({"c": check_camera({"url": f"file:{clip}"}, tmp_path / "c.toml")})
    cameras.want("p", FrameSpec(), lambda: None)
    began_s = time.monotonic()
    taken: list[Frame] = []
    async with asyncio.timeout(LIMIT_S):
        while len(taken) < 31:
            taken += cameras.take("p")
            await asyncio.sleep(0.005)
    assert 1.3 < time.monotonic() - began_s < 2.5
    gaps_ms = [
        (after.captured_ns - before.captured_ns) / 1e6
        for before, after in itertools.pairwise(taken)
    ]
    assert sorted(gaps_ms)[len(gaps_ms) // 2] == pytest.approx(50, abs=10)
    state = cameras.states()[0]
    assert (state.kind, state.state, state.reconnects) == ("file", "streaming", 0)


async def test_picture_has_the_whole_scene_when_the_size_changes_within_a_stream(
    cameras: Cameras, tmp_path: Path
) -> None:
    """OpenCV keeps the size that it began with, and scales: parts of the picture stay true."""
    file = tmp_path / "sizes.mjpeg"
    file.write_bytes(b"".join([jpeg((320, 240), 5), jpeg((640, 480), 10)] * 5))
    settings = check_camera({"url": f"file:{file}"}, tmp_path / "c.toml")
    cameras.configure({"c": settings})
    shapes = {(await cameras.look("c", LIMIT_S)).image.shape for _ in range(4)}
    assert shapes == {(240, 320, 3)}


async def test_wake_is_called_and_globs_choose_when_a_consumer_wants_some(
    cameras: Cameras, clip: Path, tmp_path: Path
) -> None:
    settings = check_camera({"url": f"file:{clip}"}, tmp_path / "c.toml")
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    cameras.want("p", FrameSpec(("door*",), 5), lambda: loop.call_soon_threadsafe(woken.set))
    cameras.configure({"door1": settings, "hall": settings})
    await asyncio.wait_for(woken.wait(), LIMIT_S)
    assert [frame.camera for frame in cameras.take("p")] == ["door1"]
    cameras.unwant("p")
    await asyncio.sleep(0.3)
    assert cameras.take("p") == []
    with pytest.raises(CameraAwayError, match="there are: door1, hall"):
        await cameras.look("yard", 1)


async def test_change_is_told_when_files_come_change_break_and_go(tmp_path: Path) -> None:
    directory = CameraDirectory([tmp_path])
    directory.scan()
    changes: asyncio.Queue[Change] = asyncio.Queue(100)
    watch = asyncio.create_task(directory.watch(changes.put))

    async def told() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int]:
        change = await asyncio.wait_for(changes.get(), LIMIT_S)
        return change.added, change.changed, change.removed, len(change.rejected)

    await asyncio.sleep(0.1)
    file = tmp_path / "door.toml"
    try:
        file.write_text('url = "mqtt:a"')
        assert await told() == (("door",), (), (), 0)
        file.write_text('url = "mqtt:b"')
        assert await told() == ((), ("door",), (), 0)
        file.write_text("url = ")
        assert await told() == ((), (), (), 1)
        assert directory.cameras["door"].address.rest == "b"  # it goes on as it was
        file.unlink()
        assert await told() == ((), (), ("door",), 0)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
