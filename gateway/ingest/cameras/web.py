"""HTTP cameras: JPEG streams and single snapshots, read by the standard library.

Frames are passed on as they came, and decoded only when somebody wants one.
"""

import http.client
import socket
import threading
import urllib.error
import urllib.request
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gateway.errors import CameraAwayError
from gateway.ingest.cameras import jpeg
from gateway.ingest.cameras.multipart import Multipart, TooLargeError
from gateway.ingest.cameras.pace import Clock, RealClock
from gateway.ingest.cameras.rtsp import reach
from gateway.ingest.cameras.settings import CameraSettings
from gateway.ingest.cameras.source import Announced
from gateway.ingest.cameras.weblogin import opener_for

_PIECE_BYTES = 65_536
_SLICE_S = 0.2
_LONGEST_READ_S = 30.0
_BROKEN_AT_MOST = 20  # pictures in a row; then it is no stream of JPEG


class Answer(Protocol):
    """What of an HTTP response is used."""

    headers: http.client.HTTPMessage

    def read1(self, n: int = -1) -> bytes:
        """Return what is there, b"" at the end."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class WebSource:
    """A camera at an http(s) address."""

    def __init__(self, settings: CameraSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or RealClock()
        self._never = threading.Event()
        self._limit_s = min(settings.stall_s or _LONGEST_READ_S, _LONGEST_READ_S)
        self._opener: urllib.request.OpenerDirector | None = None
        self._stream: Answer | None = None
        self._parts = Multipart("")
        self._waiting: list[bytes] = []
        self._picture = b""
        self._next_s = 0.0
        self.replaced = self.broken = 0

    def open(self) -> Announced:
        """Connect; see `FrameSource`. The first picture is there when this returns."""
        self.close()
        reach(self._settings.address)
        self._opener = opener_for(self._settings.address, self._settings.password())
        answer = self._ask()
        kind = self._settings.kind
        media = answer.headers.get_content_type()
        if kind == "auto":
            kind = "mjpeg" if media.startswith("multipart/") else "snapshot"
        self._next_s = self._clock.now_s() + 1 / self._settings.poll_fps
        if kind == "mjpeg":
            self._parts = Multipart(str(answer.headers.get_param("boundary") or ""))
            self._stream = answer
            first = self._next_of_stream()
        else:
            first = self._whole(answer, media)
        self._waiting = [first]
        width, height = jpeg.size_of(first) or (0, 0)
        fps = self._settings.poll_fps if kind == "snapshot" else 0.0
        return Announced("jpeg", width, height, fps, kind)

    def grab(self) -> bool:
        """Wait for the next picture; see `FrameSource`."""
        if self._waiting:
            self._picture = self._waiting.pop()
        elif self._stream is not None:
            self._picture = self._next_of_stream()
        else:
            wait_s = self._next_s - self._clock.now_s()
            if wait_s > 0:
                self._clock.wait(self._never, min(wait_s, _SLICE_S))
                if wait_s > _SLICE_S:
                    return False
            # From the plan; one that lies in the past is given up.
            self._next_s = max(self._next_s, self._clock.now_s() - 1) + 1 / self._settings.poll_fps
            answer = self._ask()
            self._picture = self._whole(answer, answer.headers.get_content_type())
        return True

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return the frame grabbed last; see `FrameSource`."""
        return jpeg.decode(self._picture)

    def captured_ns(self) -> int:
        """Return 0: a picture is there as soon as its last byte is."""
        return 0

    def close(self) -> None:
        """Let go of the connection."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._waiting = []

    def _ask(self) -> Answer:
        if self._opener is None:
            raise CameraAwayError("not open")
        try:
            answer = self._opener.open(self._settings.address.bare, timeout=self._limit_s)
        except urllib.error.HTTPError as exc:
            if exc.fp is not None:
                exc.close()
            raise CameraAwayError(_in_words(exc.code, self._settings)) from None
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise CameraAwayError(self._why(exc)) from None
        return cast("Answer", answer)

    def _next_of_stream(self) -> bytes:
        """Return the newest whole picture of what came in."""
        began_s = self._clock.now_s()
        for _ in range(_BROKEN_AT_MOST):
            pictures = [body for body in self._bodies(began_s) if self._is_good(body)]
            if pictures:
                self.replaced += len(pictures) - 1
                return pictures[-1]
        raise CameraAwayError("the stream holds no whole JPEG pictures")

    def _bodies(self, began_s: float) -> list[bytes]:
        assert self._stream is not None  # noqa: S101 - the only caller has seen to it
        try:
            while True:
                data = self._stream.read1(_PIECE_BYTES)
                if not data:
                    raise CameraAwayError("the stream ended")
                if bodies := self._parts.feed(data):
                    return bodies
                if self._clock.now_s() - began_s > self._limit_s:
                    raise CameraAwayError(f"no frame for {self._limit_s:.0f} s")
        except TooLargeError:
            raise CameraAwayError("what comes is no stream of JPEG pictures") from None
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise CameraAwayError(self._why(exc)) from None

    def _whole(self, answer: Answer, media: str) -> bytes:
        """Read a snapshot to its end."""
        began_s, data = self._clock.now_s(), b""
        try:
            while piece := answer.read1(_PIECE_BYTES):
                data += piece
                if len(data) > jpeg.MAX_JPEG_BYTES:
                    raise CameraAwayError("the picture is too large")
                if self._clock.now_s() - began_s > self._limit_s:
                    raise CameraAwayError(f"no picture within {self._limit_s:.0f} s")
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise CameraAwayError(self._why(exc)) from None
        finally:
            answer.close()
        if not jpeg.is_whole(data):
            what = "the picture broke off" if data.startswith(b"\xff\xd8") else f"{media}, no JPEG"
            raise CameraAwayError(f"no whole JPEG picture: {what}")
        return data

    def _is_good(self, body: bytes) -> bool:
        good = jpeg.is_whole(body)
        self.broken += not good
        return good

    def _why(self, exc: Exception) -> str:
        """Return what is wrong, without the address, which a library's text might show."""
        cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        if isinstance(cause, TimeoutError | socket.timeout):
            return f"no frame for {self._limit_s:.0f} s"
        if isinstance(cause, OSError) and cause.strerror:
            return f"the connection broke: {cause.strerror}"
        return f"the connection broke: {type(cause).__name__}"


def _in_words(status: int, settings: CameraSettings) -> str:
    if status in {401, 403}:
        who = "refuses user or password" if settings.address.user else "asks for a user: user@host"
        return f"the camera {who} ({status})"
    if status == 404:
        return "the camera has nothing at this path (404)"
    return f"the camera answers with status {status}"
