"""Trying a camera before it is used."""

import time
from dataclasses import dataclass

from gateway.errors import CameraAwayError
from gateway.ingest.cameras.settings import CameraSettings
from gateway.ingest.cameras.source import FrameSource
from gateway.ingest.cameras.sources import source_for

MEASURE_S = 1.0
"""How long frames are counted where the camera does not say how many there are."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a camera sends.

    Attributes:
        codec: ``h264``, ``hevc``, ``mjpeg``, ``jpeg`` ...; "" if it is not told.
        width, height: px, of a decoded frame; 0 over MQTT, where there is nothing to connect to.
        fps: Frames per second, as announced or else measured; 0: not known.
        kind: ``rtsp``, ``mjpeg``, ``snapshot``, ``v4l2``, ``file``, ``mqtt``.
    """

    codec: str
    width: int
    height: int
    fps: float
    kind: str = ""


def probe(settings: CameraSettings, limit_s: float) -> Probe:
    """Connect to a camera, decode a frame and let go of it again; blocks.

    Args:
        settings: Its file.
        limit_s: How long to wait for a frame once it is connected; connecting takes 7 s at most.

    Raises:
        CameraAwayError: In plain words why there is no frame, without a login.
    """
    source = source_for(settings)
    if settings.address.scheme == "mqtt":
        return Probe("jpeg", 0, 0, 0.0, "mqtt")
    try:
        return _try(source, limit_s)
    finally:
        source.close()


def _try(source: FrameSource, limit_s: float) -> Probe:
    told = source.open()
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if not source.grab():
            continue
        image = source.retrieve()
        if image is not None:
            height, width = image.shape[:2]
            fps = told.fps or _measure(source)
            return Probe(told.codec, width, height, round(fps, 2), told.kind)
    raise CameraAwayError(f"connected, but there was no whole frame within {limit_s:g} s")


def _measure(source: FrameSource) -> float:
    """Return frames per second, counted over a second."""
    began_s, frames = time.monotonic(), 0
    took_s = 0.0
    while took_s < MEASURE_S:
        frames += source.grab()
        took_s = time.monotonic() - began_s
    return frames / took_s
