"""What OpenCV's FFmpeg reads from the process's environment when a stream is opened.

It takes its options from ``OPENCV_FFMPEG_CAPTURE_OPTIONS`` alone (FFmpeg 8 no longer knows
``?udp`` in a url), at the very beginning of the call, and the call may then last for seconds.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

CAPTURE_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_READ_AFTER_S = 0.3  # far longer than the call takes to read its options
_SELECT_S = "5"

_QUIET = "-8"  # AV_LOG_QUIET: FFmpeg's own messages may hold an address with its login


class Opening:
    """Gives each call its options; one with others waits 0.3 s at most.

    OpenCV itself opens one stream at a time (a lock in its FFmpeg backend), so a camera that
    accepts a connection and then says nothing holds up the opening of others, for as long as the
    open may last. Those that stream go on.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._value = ""
        self._begun: dict[int, float] = {}
        self._count = 0

    @contextmanager
    def with_options(self, options: str) -> Iterator[None]:
        """Run the body, which opens a stream at once, with these options.

        Args:
            options: ``key;value|key;value``.
        """
        with self._turn, self._changed:
            while options != self._value and (left_s := self._left_s()) > 0:
                self._changed.wait(left_s)
            self._value = options
            if os.environ.get(CAPTURE_OPTIONS) != options:
                os.environ[CAPTURE_OPTIONS] = options
            self._count += 1
            ticket = self._count
            self._begun[ticket] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._begun[ticket]
                if not self._begun:  # what others open in this process is theirs
                    self._value = ""
                    os.environ.pop(CAPTURE_OPTIONS, None)
                self._changed.notify_all()

    def _left_s(self) -> float:
        latest = max(self._begun.values(), default=float("-inf"))
        return latest + _READ_AFTER_S - time.monotonic()


OPENING = Opening()
"""The process's only one, as there is only one environment."""


def be_quiet() -> None:
    """Keep OpenCV and its FFmpeg from writing to stderr: what they say may hold a login."""
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = _QUIET  # read once, before the first stream
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", _SELECT_S)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
