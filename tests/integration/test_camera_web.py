"""Cameras that speak HTTP, against a real server with all that can go wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CameraAwayError
from gateway.ingest.cameras import Cameras, CameraSettings, CameraState, probe
from gateway.ingest.cameras.settings import check_camera
from gateway.model import Frame, FrameSpec
from tests.mjpeg_server import USER, WebCamera, jpeg

LIMIT_S = 5.0
PASSWORD = "p@ss:w/ö?#1"  # noqa: S105 - made up, with all that must be encoded


@pytest.fixture
def web() -> Iterator[WebCamera]:
    with WebCamera() as camera:
        yield camera


@pytest.fixture
async def cameras() -> AsyncIterator[Cameras]:
    made = Cameras()
    yield made
    await asyncio.to_thread(made.stop)
    assert made.states() == []


def settings(folder: Path, url: str, **more: Any) -> CameraSettings:  # noqa: ANN401
    return check_camera({"url": url, **more}, folder / "c.toml")


def login_in(file: str) -> dict[str, str]:
    return {"password_file": file}


async def until(cameras: Cameras, *wanted: str, name: str = "c") -> CameraState:
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = [state for state in cameras.states() if state.name == name]
            if found and found[0].state in wanted:
                return found[0]
            await asyncio.sleep(0.02)


async def frames(cameras: Cameras, consumer: str, count: int) -> list[Frame]:
    taken: list[Frame] = []
    async with asyncio.timeout(LIMIT_S):
        while len(taken) < count:
            taken += cameras.take(consumer)
            await asyncio.sleep(0.01)
    return taken


@pytest.mark.parametrize("lengths", [True, False])
async def test_frames_come_in_order_when_a_stream_is_read(
    web: WebCamera, cameras: Cameras, tmp_path: Path, lengths: bool
) -> None:
    web.lengths = lengths
    cameras.configure({"c": settings(tmp_path, web.url())})
    cameras.want("p", FrameSpec(), lambda: None)
    taken = await frames(cameras, "p", 5)
    assert [frame.image.shape for frame in taken] == [(240, 320, 3)] * 5
    numbers = [frame.number for frame in taken]
    assert numbers == sorted(set(numbers))
    state = await until(cameras, "streaming")
    assert (state.kind, state.codec, state.width, state.height) == ("mjpeg", "jpeg", 320, 240)
    assert state.read == state.decoded + state.skipped + state.broken
    assert state.taken == 5


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("path", ["/stream", "/snapshot"])
def test_login_is_given_when_the_camera_asks(
    tmp_path: Path, digest: bool, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pw").write_text(PASSWORD + "\n", encoding="utf-8")
    caplog.set_level(logging.DEBUG)
    with WebCamera(password=PASSWORD, digest=digest) as web:
        found = probe(settings(tmp_path, web.url(path, USER), **login_in("pw")), LIMIT_S)
        assert (found.codec, found.width, found.height) == ("jpeg", 320, 240)
        assert 10 < found.fps < 25 if path == "/stream" else found.fps == 1
        for login, what in (("", "asks for a user"), (USER, "refuses user or password")):
            with pytest.raises(CameraAwayError, match=what):
                probe(settings(tmp_path, web.url(path, login)), LIMIT_S)
    assert "p@ss" not in caplog.text


def test_reason_is_plain_when_there_is_no_camera(web: WebCamera, tmp_path: Path) -> None:
    for path, what in (("/none", "404"), ("/page", "text/html, no JPEG")):
        with pytest.raises(CameraAwayError, match=what):
            probe(settings(tmp_path, web.url(path)), LIMIT_S)
    web.stop()
    with pytest.raises(CameraAwayError, match="refuses the connection"):
        probe(settings(tmp_path, web.url()), LIMIT_S)


async def test_snapshots_are_polled_when_the_answer_is_one_picture(
    web: WebCamera, cameras: Cameras, tmp_path: Path
) -> None:
    cameras.configure({"c": settings(tmp_path, web.url("/snapshot"), poll_fps=10)})
    cameras.want("p", FrameSpec(), lambda: None)
    await frames(cameras, "p", 5)
    state = await until(cameras, "streaming")
    assert state.kind == "snapshot"
    assert 4 <= web.requests <= 9


async def test_camera_comes_back_when_it_broke_in_the_middle_of_a_frame(
    web: WebCamera, cameras: Cameras, tmp_path: Path
) -> None:
    cameras.configure({"c": settings(tmp_path, web.url())})
    cameras.want("p", FrameSpec(), lambda: None)
    await frames(cameras, "p", 2)
    web.broken = True
    state = await until(cameras, "backing_off")
    assert "the stream ended" in state.reason
    web.size, web.broken = (160, 120), False
    state = await until(cameras, "streaming")
    cameras.take("p")
    assert (await frames(cameras, "p", 1))[0].image.shape == (120, 160, 3)
    state = await until(cameras, "streaming")
    assert (state.reconnects, state.resized, state.width) == (1, 1, 160)
    assert state.recovery_s is not None
    assert state.recovery_s < LIMIT_S


async def test_stream_goes_on_when_pictures_in_it_are_torn(
    web: WebCamera, cameras: Cameras, tmp_path: Path
) -> None:
    cameras.configure({"c": settings(tmp_path, web.url())})
    await until(cameras, "streaming")
    web.torn = True
    await asyncio.sleep(0.3)
    web.torn = False
    cameras.want("p", FrameSpec(), lambda: None)
    await frames(cameras, "p", 2)
    state = await until(cameras, "streaming")
    assert state.broken >= 2
    assert state.reconnects == 0
    assert state.read == state.decoded + state.skipped + state.broken


async def test_camera_comes_back_when_it_stalled(
    web: WebCamera, cameras: Cameras, tmp_path: Path
) -> None:
    cameras.configure({"c": settings(tmp_path, web.url(), stall_after_s=0.6)})
    await until(cameras, "streaming")
    web.stalled = True
    assert "no frame" in (await until(cameras, "stalled")).reason
    assert "no frame" in (await until(cameras, "backing_off")).reason
    web.stalled = False
    assert (await until(cameras, "streaming")).reconnects == 1


async def test_frozen_picture_is_given_to_nobody_when_it_stands_still(
    web: WebCamera, cameras: Cameras, tmp_path: Path
) -> None:
    cameras.configure({"c": settings(tmp_path, web.url(), frozen_after_s=1.0)})
    cameras.want("p", FrameSpec(), lambda: None)
    await frames(cameras, "p", 2)
    web.frozen = True
    await until(cameras, "backing_off")
    assert (await until(cameras, "frozen")).reason == "the picture does not change"
    cameras.take("p")
    await asyncio.sleep(0.3)
    assert cameras.take("p") == []
    assert (await cameras.look("c", LIMIT_S)).image.shape == (240, 320, 3)
    web.frozen = False
    await until(cameras, "streaming")
    await frames(cameras, "p", 2)


async def test_others_go_on_when_one_camera_hangs(
    web: WebCamera, cameras: Cameras, tmp_path: Path
) -> None:
    with WebCamera() as dead:
        dead.stalled = True
        cameras.configure(
            {
                "dead": settings(tmp_path, dead.url(), stall_after_s=2),
                "c": settings(tmp_path, web.url()),
            }
        )
        cameras.want("p", FrameSpec(), lambda: None)
        assert {frame.camera for frame in await frames(cameras, "p", 5)} == {"c"}
        with pytest.raises(CameraAwayError, match="dead gave no frame within"):
            await cameras.look("dead", 0.1)
        dead.stop()


async def test_device_is_a_camera_when_it_sends_pictures_over_mqtt(
    cameras: Cameras, tmp_path: Path
) -> None:
    cameras.configure({"door": settings(tmp_path, "mqtt:esp32/cam 1")})
    cameras.want("p", FrameSpec(), lambda: None)
    cameras.offer("esp32/cam 1", jpeg((64, 48), 1), 7)
    cameras.offer("esp32/cam2", jpeg((32, 24), 1), 8)
    cameras.offer("esp32/cam2", b"no picture", 9)
    taken = sorted(await frames(cameras, "p", 2), key=lambda frame: frame.camera)
    assert [(f.camera, f.captured_ns) for f in taken] == [("door", 7), ("esp32-cam2", 8)]
    assert taken[0].image.shape == (48, 64, 3)
    assert (await until(cameras, "streaming", name="door")).kind == "mqtt"


async def test_camera_is_begun_anew_when_its_file_changes_and_only_then(
    web: WebCamera, cameras: Cameras, tmp_path: Path
) -> None:
    first = settings(tmp_path, web.url())
    line = {"gate": [[0.0, 0.5], [1.0, 0.5]]}
    cameras.configure({"c": first, "d": settings(tmp_path, web.url())})
    await until(cameras, "streaming")
    await until(cameras, "streaming", name="d")
    read = {state.name: state.read for state in cameras.states()}
    cameras.configure({"c": settings(tmp_path, web.url(), lines=line), "d": first})
    state = await until(cameras, "streaming", name="d")
    assert state.read >= read["d"]
    assert state.reconnects == 0
    assert cameras.places("c") == {"gate": ((0.0, 0.5), (1.0, 0.5))}
    await until(cameras, "streaming")
    cameras.configure({"d": settings(tmp_path, web.url(), enabled=False)})
    assert [(state.name, state.state) for state in cameras.states()] == [("d", "off")]
