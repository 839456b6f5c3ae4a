"""The demo's camera: the drawn entrance, served over RTSP as a camera serves its picture."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cv2

from gateway.demo.rtsp import rtsp_server
from gateway.demo.scene import FPS, Scene

NAME = "demo-entrance"
_QUALITY = 80


@asynccontextmanager
async def camera(seed: int) -> AsyncIterator[str]:
    """Serve the entrance until the block ends, and give its address; time 0 is now."""
    scene, began = Scene(seed), time.monotonic()

    async def pictures() -> AsyncIterator[bytes]:
        due_s = time.monotonic() - began
        while True:
            yield await asyncio.to_thread(_jpeg, scene, due_s)
            due_s += 1 / FPS
            await asyncio.sleep(max(0.0, began + due_s - time.monotonic()))

    async with rtsp_server(pictures) as url:
        yield url


def _jpeg(scene: Scene, time_s: float) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    return cv2.imencode(".jpg", scene.frame(time_s), options)[1].tobytes()
