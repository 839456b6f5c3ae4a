"""Streams, files and devices that OpenCV reads."""

import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.errors import CameraAwayError
from gateway.ingest.cameras.opening import OPENING, be_quiet
from gateway.ingest.cameras.pace import Clock, RealClock
from gateway.ingest.cameras.rtsp import diagnose, greet
from gateway.ingest.cameras.settings import CameraSettings
from gateway.ingest.cameras.source import Announced

OPEN_LIMIT_S = 3.0  # and the analysis
LONGEST_READ_S = 30.0  # even where a stall is no reason to connect anew: a thread must end

# FFmpeg looks at 20 frames to know their rate, unless told not to; it stops as soon as it knows
# the rest, or at the end of its analysis. Without fpsprobesize a camera at 10 fps needs 2.8 s.
_RTSP = "allowed_media_types;video|fpsprobesize;0|analyzeduration"
_RTSP_OPTIONS = {
    "tcp": f"rtsp_transport;tcp|{_RTSP}",
    # A key frame comes as one burst: the default of 64 KiB would lose a part of it.
    "udp": f"rtsp_transport;udp|buffer_size;1000000|{_RTSP}",
}
_ANALYSES_US = (1_000_000, 8_000_000)
"""The second where the size is not known after the first: it comes with a key frame only."""
_FILE_OPTIONS = "protocol_whitelist;file"  # a playlist must not reach out into the network
_CODECS = {"avc1": "h264", "x264": "h264", "hvc1": "hevc", "hev1": "hevc", "mjpg": "mjpeg"}
_SLICE_S = 0.2
_BEHIND_S = 1.0


class Capture:
    """An OpenCV capture that raises when it has nothing more to give."""

    replaced = 0
    broken = 0  # FFmpeg hides what it could not decode whole, and tells nobody

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._read_limit_s = min(settings.stall_s or LONGEST_READ_S, LONGEST_READ_S)
        self._capture: cv2.VideoCapture | None = None

    def grab(self) -> bool:
        """Wait for the next frame; see `FrameSource`."""
        began_s = time.monotonic()
        if self._open_capture.grab():
            return True
        took_s = time.monotonic() - began_s
        late = took_s >= 0.9 * self._read_limit_s
        raise CameraAwayError(f"no frame for {took_s:.0f} s" if late else "the stream ended")

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return the frame grabbed last; see `FrameSource`."""
        try:
            good, image = self._open_capture.retrieve()
        except cv2.error:
            return None
        if not good or image is None or not image.size:
            return None
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return image.astype(np.uint8, copy=False)

    def captured_ns(self) -> int:
        """Return 0: a frame is there as soon as it is grabbed."""
        return 0

    def close(self) -> None:
        """Let go of the stream."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    @property
    def _open_capture(self) -> cv2.VideoCapture:
        if self._capture is None:
            raise CameraAwayError("not open")
        return self._capture

    def _open_ffmpeg(self, place: str, options: str, longer_s: float = 0.0) -> bool:
        """Open an address or path that is shown to nobody, and say whether that went well."""
        be_quiet()
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(1e3 * (OPEN_LIMIT_S + longer_s)),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(1e3 * self._read_limit_s),
            cv2.CAP_PROP_N_THREADS,
            1,  # frame threads would each hold back a frame
        ]
        self.close()
        with OPENING.with_options(options):
            capture = cv2.VideoCapture(place, cv2.CAP_FFMPEG, limits)
        self._capture = capture
        return capture.isOpened()

    def _announced(self, kind: str) -> Announced:
        get = self._open_capture.get
        fourcc = int(get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        tag = fourcc.to_bytes(4, "little").decode("ascii", "ignore").strip("\0 ").lower()
        fps = get(cv2.CAP_PROP_FPS)
        return Announced(
            codec=_CODECS.get(tag, tag),
            width=int(get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(get(cv2.CAP_PROP_FRAME_HEIGHT)),
            fps=fps if 0 < fps <= 240 else 0.0,  # 90000 and the like: the stream does not say
            kind=kind,
        )


class RtspSource(Capture):
    """A camera's RTSP stream, over TCP or UDP."""

    def open(self) -> Announced:
        """Connect; see `FrameSource`."""
        settings = self._settings
        address, password = settings.address, settings.password()
        greet(address)  # fails sooner, and says why
        try:
            url = address.with_login(password)
        except ValueError as exc:
            raise CameraAwayError(str(exc)) from None
        for analysis_us in _ANALYSES_US:
            options = f"{_RTSP_OPTIONS[settings.transport]};{analysis_us}"
            if not self._open_ffmpeg(url, options, analysis_us / 1e6):
                self.close()
                raise CameraAwayError(diagnose(address, password, settings.transport))
            told = self._announced("rtsp")
            if told.width:
                return told
        self.close()
        raise CameraAwayError("the stream does not say its size: there is no key frame in it")


class DeviceSource(Capture):
    """A camera at this machine: Video4Linux."""

    def open(self) -> Announced:
        """Open the device; see `FrameSource`."""
        be_quiet()
        path = self._settings.path
        if not path.is_char_device():
            raise CameraAwayError(f"{path}: no such device")
        if not os.access(path, os.R_OK | os.W_OK):
            raise CameraAwayError(f"{path}: not permitted; its user must be in the group video")
        self.close()
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            self.close()
            raise CameraAwayError(f"{path}: gives no video, or another program uses it")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return self._announced("v4l2")


class FileSource(Capture):
    """A file, played at the speed of its own time stamps, again and again."""

    def __init__(self, settings: CameraSettings, clock: Clock | None = None) -> None:
        super().__init__(settings)
        self._clock = clock or RealClock()
        self._never = threading.Event()
        self._held = False
        self._step_s = 0.04
        self._start_s = self._at_s = 0.0  # when its beginning was due, and where in it we are

    def open(self) -> Announced:
        """Open the file; see `FrameSource`."""
        told = self._rewind()
        self._start_s, self._at_s = self._clock.now_s(), -self._step_s
        self._held = False
        return told

    def grab(self) -> bool:
        """Read the next frame and wait until it is due; see `FrameSource`."""
        if not self._held:
            self._read()
            self._held = True
        due_s = self._start_s + self._at_s
        wait_s = due_s - self._clock.now_s()
        if wait_s > 0:
            self._clock.wait(self._never, min(wait_s, _SLICE_S))
            if wait_s > _SLICE_S:
                return False
        self._held = False
        return True

    def _read(self) -> None:
        if not self._open_capture.grab():
            self._start_s += self._at_s + self._step_s
            self._at_s = -self._step_s
            self._rewind()
            if not self._open_capture.grab():
                raise CameraAwayError(f"{self._settings.path}: holds no frame that can be read")
        stamp_s = self._open_capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        self._at_s = stamp_s if stamp_s > self._at_s else self._at_s + self._step_s
        behind_s = self._clock.now_s() - self._start_s - self._at_s
        if behind_s > _BEHIND_S:
            self._start_s += behind_s  # go on from here, do not hurry after it

    def _rewind(self) -> Announced:
        path: Path = self._settings.path
        if not path.is_file():
            raise CameraAwayError(f"{path}: no such file")
        if not self._open_ffmpeg(str(path.absolute()), _FILE_OPTIONS):
            self.close()
            raise CameraAwayError(f"{path}: holds no video that can be read")
        told = self._announced("file")
        self._step_s = 1 / (told.fps or 25.0)
        return told
