"""Cameras that speak RTSP, against GStreamer's server."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CameraAwayError
from gateway.ingest.cameras import Cameras, CameraSettings, CameraState, probe
from gateway.ingest.cameras.settings import check_camera
from tests.rtsp_server import RtspServer, Wire

PASSWORD = "p@ss:w/ö?#1"  # noqa: S105 - made up, with all that must be encoded
LIMIT_S = 10.0


@pytest.fixture
async def cameras() -> AsyncIterator[Cameras]:
    made = Cameras()
    yield made
    await asyncio.to_thread(made.stop)


def settings(folder: Path, url: str, **more: Any) -> CameraSettings:  # noqa: ANN401
    return check_camera({"url": url, **more}, folder / "c.toml")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(cameras: Cameras, *wanted: str, name: str = "c") -> CameraState:
    async with asyncio.timeout(LIMIT_S):
        while True:
            for state in cameras.states():
                if state.name == name and state.state in wanted:
                    return state
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("digest", [False, True])
def test_nothing_of_a_login_is_shown_when_a_camera_is_tried(
    gst_python: str, tmp_path: Path, digest: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pw").write_text(PASSWORD, encoding="utf-8")
    login = {"password_file": "pw"}
    texts: list[str] = []
    with RtspServer(gst_python, user="user", password=PASSWORD, digest=digest) as server:
        url = server.url(secret=False).replace("//", "//user@")
        for transport in ("tcp", "udp"):
            good = settings(tmp_path, url, transport=transport, **login)
            found = probe(good, LIMIT_S)
            assert (found.codec, found.width, found.height) == ("h264", 640, 360)
            texts += [repr(good), str(good), good.shown_url]
        for wrong, what in (
            (settings(tmp_path, url), "refuses user or password"),
            (settings(tmp_path, server.url(secret=False)), "asks for a user"),
            (settings(tmp_path, url + "x", **login), "no stream of this path"),
        ):
            with pytest.raises(CameraAwayError, match=what) as refused:
                probe(wrong, LIMIT_S)
            texts.append(str(refused.value))
    with pytest.raises(CameraAwayError, match="refuses the connection") as refused:
        probe(good, LIMIT_S)
    shown = capfd.readouterr()
    for text in [*texts, str(refused.value), shown.out, shown.err]:
        assert "p@ss" not in text
        assert "p%40ss" not in text
        assert "user@" not in text.replace("user@host", "")


@pytest.mark.parametrize("codec", ["h265", "mjpeg"])
def test_codec_is_told_when_a_camera_is_tried(gst_python: str, tmp_path: Path, codec: str) -> None:
    with RtspServer(gst_python, codec=codec) as server:
        found = probe(settings(tmp_path, server.url()), LIMIT_S)
    assert found.codec == {"h265": "hevc", "mjpeg": "mjpeg"}[codec]


async def test_camera_is_back_within_five_seconds_when_it_was_killed(
    gst_python: str, cameras: Cameras, tmp_path: Path
) -> None:
    with RtspServer(gst_python) as server, RtspServer(gst_python) as other:
        cameras.configure(
            {
                "c": settings(tmp_path, server.url()),
                "udp": settings(tmp_path, other.url(), transport="udp"),
            }
        )
        await until(cameras, "streaming")
        server.kill()
        await until(cameras, "backing_off")
        await asyncio.sleep(4)  # the longest wait between two tries is reached
        await asyncio.to_thread(server.start, size=(320, 240))
        back_s = time.monotonic()
        state = await until(cameras, "streaming")
        assert time.monotonic() - back_s < 5
        assert state.reconnects == 1
        await until(cameras, "streaming", name="udp")
        states = {each.name: each for each in cameras.states()}
        assert states["udp"].reconnects == 0
        assert states["c"].width == 320
        assert (await cameras.look("c", LIMIT_S)).image.shape == (240, 320, 3)


async def test_camera_goes_on_when_packets_are_damaged_and_its_size_changes(
    gst_python: str, cameras: Cameras, tmp_path: Path
) -> None:
    with RtspServer(gst_python) as server:
        cameras.configure({"c": settings(tmp_path, server.url(), transport="udp")})
        await until(cameras, "streaming")
        server.corrupt(flip=0.001, drop=0.05)
        await asyncio.sleep(1.5)
        server.corrupt()
        await asyncio.to_thread(server.resize, 320, 240)
        await asyncio.sleep(1.5)
        assert (await cameras.look("c", LIMIT_S)).image.shape[2] == 3
        assert (await until(cameras, "streaming")).age_s is not None


async def test_stream_is_opened_anew_when_bytes_vanish(
    gst_python: str, cameras: Cameras, tmp_path: Path
) -> None:
    with RtspServer(gst_python) as server:
        wire = Wire(server.port)
        try:
            url = server.url(port=wire.port)
            cameras.configure({"c": settings(tmp_path, url, stall_after_s=1.5)})
            await until(cameras, "streaming")
            wire.stall()
            assert "no frame for" in (await until(cameras, "backing_off")).reason
            wire.cut()
            wire.restore()
            assert (await until(cameras, "streaming")).reconnects == 1
        finally:
            wire.close()


async def test_threads_and_files_are_gone_when_cameras_stop(
    gst_python: str, tmp_path: Path
) -> None:
    with RtspServer(gst_python) as server:
        before = open_files()
        for _ in range(3):
            cameras = Cameras()
            cameras.configure({"c": settings(tmp_path, server.url())})
            await until(cameras, "streaming")
            began_s = time.monotonic()
            await asyncio.to_thread(cameras.stop)
            assert time.monotonic() - began_s < 1
        assert open_files() <= before + 1
