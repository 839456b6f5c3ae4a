"""A camera's thread on a made-up source and clock: what it gives, counts, and survives."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.errors import CameraAwayError
from gateway.ingest.cameras.camera import Camera
from gateway.ingest.cameras.settings import CameraSettings, check_camera
from gateway.ingest.cameras.source import Announced
from tests.mjpeg_server import image

NO_FRAME, DAMAGED = "no frame", "damaged"


class FakeClock:
    def __init__(self) -> None:
        self.at_s = 100.0
        self.waits: list[float] = []

    def now_s(self) -> float:
        return self.at_s

    def wall_ns(self) -> int:
        return int(self.at_s * 1e9)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.at_s += seconds
        return event.is_set()


class FakeSource:
    """Plays a script: a frame's number, `NO_FRAME`, `DAMAGED`, an error, or something to call."""

    replaced = 0
    broken = 0

    def __init__(self, clock: FakeClock, step_s: float = 0.1) -> None:
        self.script: list[object] = []
        self.clock, self.step_s = clock, step_s
        self.opened = self.closed = self.retrieved = 0
        self.now: object = None
        self.done: Callable[[], None] = lambda: None

    def open(self) -> Announced:
        self.opened += 1
        if self.script and isinstance(self.script[0], tuple):  # how opening fails
            raise self.script.pop(0)[0]  # type: ignore[index]
        return Announced("h264", 64, 48, 10.0, "rtsp")

    def grab(self) -> bool:
        self.clock.at_s += self.step_s
        while self.script and callable(self.script[0]):
            self.script.pop(0)()  # type: ignore[operator]
        if not self.script:
            self.done()
            return False
        self.now = self.script.pop(0)
        if isinstance(self.now, Exception):
            raise self.now
        return self.now != NO_FRAME

    def retrieve(self) -> NDArray[np.uint8] | None:
        self.retrieved += 1
        return image((64, 48), self.now) if isinstance(self.now, int) else None

    def captured_ns(self) -> int:
        return 0

    def close(self) -> None:
        self.closed += 1


def settings(**more: object) -> CameraSettings:
    return check_camera({"url": "rtsp://h/x", **more}, Path("c.toml"))


def made(**more: object) -> tuple[Camera, FakeSource, FakeClock]:
    clock = FakeClock()
    source = FakeSource(clock)
    camera = Camera("c", settings(**more), source, clock, chance=lambda: 1.0)
    source.done = camera.end
    return camera, source, clock


def test_newest_frame_wins_when_frames_are_not_taken() -> None:
    camera, source, clock = made()
    woken: list[str] = []
    camera.want("p", 0, lambda: woken.append("p"))
    taken = []
    source.script = [1, 2, 3, lambda: taken.append(camera.take("p")), 4]
    camera.run()
    state = camera.state()
    assert taken[0] is not None
    assert taken[0].number == 3
    assert taken[0].captured_ns == pytest.approx(100.3e9)
    assert len(woken) == 4
    assert (state.read, state.decoded, state.dropped, state.taken) == (4, 4, 2, 1)
    assert not taken[0].image.flags.writeable
    assert clock.at_s > 100


def test_frames_are_not_decoded_when_nobody_wants_them() -> None:
    camera, source, _ = made()
    source.script = list(range(1, 101))
    camera.run()
    state = camera.state()
    assert state.read == 100
    assert state.skipped == 100 - source.retrieved
    assert source.retrieved <= 6  # one in two seconds, to see whether the picture changes


def test_frames_are_decoded_at_the_wanted_rate_when_two_want_them() -> None:
    camera, source, _ = made(frozen_after_s=0)
    source.script = list(range(1, 101))
    camera.want("slow", 1, lambda: None)
    camera.want("fast", 5, lambda: None)
    camera.run()
    assert 50 <= source.retrieved <= 60


def test_look_gets_the_next_whole_frame_when_one_is_damaged() -> None:
    camera, source, _ = made(frozen_after_s=0)
    look, gone = camera.look(), camera.look()
    gone.cancel()
    source.script = [DAMAGED, 7, 8]
    camera.run()
    assert look.result(0).number == 2
    state = camera.state()
    assert (state.broken, state.decoded, state.skipped, state.read) == (1, 1, 1, 3)


def test_look_is_over_when_the_camera_ends() -> None:
    camera, _, _ = made()
    look = camera.look()
    camera.end()
    assert look.cancelled()


def test_waits_grow_when_the_camera_stays_away_and_start_anew_once_it_was_steady() -> None:
    camera, source, clock = made()
    away = CameraAwayError("refuses")
    source.script = [(away,), (away,), (away,), *range(1, 60), CameraAwayError("ended"), 1]
    camera.run()
    assert clock.waits == [0.5, 1.0, 2.0, 0.5]
    state = camera.state()
    assert state.reconnects == 1
    assert state.recovery_s == pytest.approx(0.1 + 0.5 + 0.1)
    assert source.opened == source.closed == 5


def test_waits_go_on_growing_when_the_camera_is_lost_again_at_once() -> None:
    camera, source, clock = made()
    source.script = [1, CameraAwayError("x"), 2, CameraAwayError("x"), 3, CameraAwayError("x"), 4]
    camera.run()
    assert clock.waits == [0.5, 1.0, 2.0]


def test_thread_goes_on_when_a_library_fails(caplog: pytest.LogCaptureFixture) -> None:
    camera, source, _ = made()
    source.script = [1, RuntimeError("odd"), 2]
    camera.run()
    state = camera.state()
    assert (state.read, state.reconnects) == (2, 1)
    assert "failed: RuntimeError" in caplog.text


def test_camera_is_stalled_then_lost_when_no_frame_comes(caplog: pytest.LogCaptureFixture) -> None:
    camera, source, _ = made(stall_after_s=2)
    seen: list[str] = []
    note = [lambda: seen.append(camera.state().state)]
    source.script = [1, *note, *[NO_FRAME] * 14, *note, *[NO_FRAME] * 10, 2, *note, 3]
    camera.run()
    assert seen == ["streaming", "stalled", "streaming"]
    assert "lost: no frame for 2 s" in caplog.text
    assert camera.state().reason == ""  # frames came again


def test_frozen_picture_is_connected_anew_and_given_to_nobody() -> None:
    camera, source, _ = made(frozen_after_s=10)
    camera.want("p", 0, lambda: None)
    seen: list[str] = []
    source.script = [
        *range(1, 20),
        *[77] * 150,  # 15 s
        lambda: seen.append(camera.state().state),
        lambda: camera.take("p"),
        *[77] * 20,
        lambda: seen.append(str(camera.take("p"))),
        *range(1, 30),
        lambda: seen.append(camera.state().state),
        1,
    ]
    camera.run()
    assert seen == ["frozen", "None", "streaming"]
    state = camera.state()
    assert source.opened == 2
    assert state.reconnects == 1
    assert camera.take("p") is None  # ended


def test_state_tells_size_and_rate() -> None:
    camera, source, _ = made()
    source.script = list(range(1, 50))
    camera.run()
    state = camera.state()
    assert (state.codec, state.width, state.height, state.kind) == ("h264", 64, 48, "rtsp")
    assert state.fps == pytest.approx(10, rel=0.02)
    assert state.state == "off"
    assert state.read == state.decoded + state.skipped + state.broken
