"""The demo's RTSP server, read by those who read cameras: FFmpeg in OpenCV, and GStreamer."""

import asyncio
import contextlib
import itertools
import subprocess
from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest

from gateway.demo.jpeg_packets import JpegError, parse
from gateway.demo.rtsp import rtsp_server

WIDTH, HEIGHT = 320, 240
LEVELS = (40, 120, 200)
OPEN = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 5000]


def jpeg(level: int, options: tuple[int, ...] = ()) -> bytes:
    """Return a picture whose left half is as bright as ``level``, and the right half red."""
    image = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    image[:, WIDTH // 2 :] = (0, 0, 220)
    return cv2.imencode(".jpg", image, list(options))[1].tobytes()


async def pictures() -> AsyncIterator[bytes]:
    for number in range(400):
        yield jpeg(LEVELS[number % 3])
        await asyncio.sleep(0.03)


def read_some(url: str, count: int = 8) -> list[np.ndarray]:
    stream = cv2.VideoCapture(url, cv2.CAP_FFMPEG, OPEN)
    try:
        return [image for _ in range(count) for there, image in [stream.read()] if there]
    finally:
        stream.release()


def levels(images: list[np.ndarray]) -> list[int]:
    means = [float(image[:, : WIDTH // 2 - 16].mean()) for image in images]
    return [min(range(3), key=lambda i: abs(LEVELS[i] - mean)) for mean in means]


async def test_pictures_come_whole_and_in_order_when_several_clients_read() -> None:
    async with rtsp_server(pictures) as url:
        async with asyncio.timeout(30):
            both = await asyncio.gather(*(asyncio.to_thread(read_some, url) for _ in range(2)))
    for images in both:
        assert len(images) == 8
        assert images[0].shape == (HEIGHT, WIDTH, 3)
        seen = levels(images)
        assert all((a + 1) % 3 == b for a, b in itertools.pairwise(seen)), seen
        red = images[0][:, WIDTH // 2 + 16 :].reshape(-1, 3).mean(axis=0)
        assert np.abs(red - (0, 0, 220)).max() < 12  # the second table is the chroma's


@pytest.mark.parametrize(
    "sampling", [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]
)
async def test_gstreamer_decodes_them_when_it_reads(gst_python: str, sampling: int) -> None:
    async def chosen() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield jpeg(120, (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling))
            await asyncio.sleep(0.02)

    script = (
        "import sys, gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst;"
        "Gst.init(None); p = Gst.parse_launch('rtspsrc protocols=tcp latency=0 location='"
        " + sys.argv[1] + ' ! rtpjpegdepay ! jpegdec ! appsink name=s sync=false');"
        "p.set_state(Gst.State.PLAYING); s = p.get_by_name('s');"
        "got = [s.emit('pull-sample') for _ in range(5)]; b = got[-1].get_buffer();"
        "c = got[-1].get_caps().get_structure(0);"
        "print(c.get_int('width')[1], c.get_int('height')[1], b.extract_dup(0, 8)[4]);"
        "p.set_state(Gst.State.NULL)"
    )
    async with rtsp_server(chosen) as url:
        done = await asyncio.to_thread(
            subprocess.run, [gst_python, "-c", script, url], capture_output=True, text=True,
            timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    width, height, level = map(int, done.stdout.split())
    assert (width, height) == (WIDTH, HEIGHT)
    assert abs(level - 120) < 8


async def test_stream_ends_when_the_pictures_end_or_the_server_stops() -> None:
    async def three() -> AsyncIterator[bytes]:
        for level in LEVELS:
            yield jpeg(level)
            await asyncio.sleep(0.05)

    async with rtsp_server(three) as url:
        images = await asyncio.to_thread(read_some, url, 8)
    assert 1 <= len(images) <= 3

    async with rtsp_server(pictures) as url:
        reading = asyncio.create_task(asyncio.to_thread(read_some, url, 10_000))
        await asyncio.sleep(1.0)
    assert len(await asyncio.wait_for(reading, 10)) > 3


async def test_connection_is_closed_when_what_comes_is_no_rtsp() -> None:
    async with rtsp_server(pictures) as url:
        host, port = url[len("rtsp://") :].split("/")[0].split(":")
        for nonsense in (b"GET\r\n\r\n", b"x" * 20_000, b"$"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(nonsense)
            if nonsense == b"$":
                writer.write_eof()
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert len(await asyncio.to_thread(read_some, url, 3)) == 3


@pytest.mark.parametrize(
    "picture",
    [
        b"", b"\xff\xd8", b"no picture",
        cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes(),
        jpeg(40, (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)),
        cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes(),
        cv2.imencode(".jpg", np.zeros((8, 4096, 3), np.uint8))[1].tobytes(),
    ],
    ids=["empty", "short", "text", "png", "444", "grey", "wide"],
)  # fmt: skip
def test_picture_is_refused_when_rtp_cannot_carry_it(picture: bytes) -> None:
    with pytest.raises(JpegError):
        parse(picture)
