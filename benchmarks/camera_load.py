"""How many RTSP cameras two cores carry, and how long a frame takes to the outcome's PubAck."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks.camera_speed import frames
from benchmarks.camera_stand import (
    CONFIG,
    Means,
    await_cameras,
    cameras,
    delays_ms,
    percentiles,
    write_camera,
    write_plugin,
)
from benchmarks.stand import Stand, stand
from gateway.ingest.cameras.capture import RtspSource
from gateway.ingest.cameras.settings import CameraSettings
from tests.rtsp_server import RtspServer, read_clock

FPS_MANY, FPS_ONE = 5.0, 10.0
MUST_AGE_MS = 300.0
MUST_SHARE = 0.98
"""Share of the frames sent that are looked at: fewer means that the rest was dropped."""
SIZE = (768, 432)
_WARM_UP_S = 4.0
_START_S = 120.0  # OpenCV opens one stream at a time
_SETTLE_S = 4.0  # for the last outcomes to be in the store
_RAW_FRAMES = 100


@dataclass(frozen=True, slots=True)
class Many:
    """What some number of cameras gave.

    Attributes:
        cameras: How many.
        age_ms: p50, p95, p99 of a frame's age when its outcome is stored in the leaf.
        looked_at: Share of the frames sent that were looked at.
        cores: Cores in use, by process; the RTSP server and the hub share the machine.
    """

    cameras: int
    age_ms: list[float]
    looked_at: float
    cores: dict[str, float]

    @property
    def carried(self) -> bool:
        """Say whether all frames were looked at, and in time."""
        return self.age_ms[1] <= MUST_AGE_MS and self.looked_at >= MUST_SHARE


@dataclass(frozen=True, slots=True)
class One:
    """From one camera to the outcome.

    Attributes:
        codec: Of the stream.
        sent_to_captured_ms: p50, p95, p99 from the clock burnt into the picture to the time at
            which the gateway's reader has it: the camera's coding, the way, FFmpeg.
        captured_to_ack_ms: p50, p95, p99 from there to the outcome's PubAck at the leaf.
        stages_ms: p50 and p95 within the latter.
    """

    codec: str
    sent_to_captured_ms: list[float]
    captured_to_ack_ms: list[float]
    stages_ms: dict[str, dict[str, float]]


@contextmanager
def gateway(folder: Path, model: Path, fps: float) -> Iterator[Stand]:
    """Run a hub, and a gateway with a plugin that reports every frame."""
    with stand(folder) as here:
        here.start_hub()
        here.write_config(CONFIG)
        write_plugin(here.state_dir / "plugins", model, fps=fps, always=True)
        here.start_gateway()
        yield here


def many(folder: Path, means: Means, counts: Sequence[int], seconds: float) -> list[Many]:
    """Add cameras until they are too many, and return what each number gave.

    Args:
        folder: Everything lies below it.
        means: The clip is sent as it is coded.
        counts: How many cameras to try, ascending.
        seconds: How long each is measured.
    """
    found: list[Many] = []
    with (
        RtspServer(means.program, file=means.clip, fps=FPS_MANY, streams=counts[-1]) as server,
        gateway(folder, means.model, fps=0.0) as here,
    ):
        for count in counts:
            for number in range(len(cameras(here)) + 1, count + 1):
                write_camera(here, f"c{number}", server.url(number))
            await_cameras(
                here,
                lambda all_, n=count: sum(c["state"] == "streaming" for c in all_.values()) == n,  # type: ignore[misc] # the default binds the loop's value
                f"{count} streaming",
                _START_S,
            )
            time.sleep(_WARM_UP_S)
            found.append(_measured(here, server, count, seconds))
            if not found[-1].carried:
                break
    return found


def _measured(here: Stand, server: RtspServer, count: int, seconds: float) -> Many:
    tree = {**here.tree(), "rtsp server": server.process()}
    before = {name: sum(process.cpu_times()[:2]) for name, process in tree.items()}
    began, since_ns = time.monotonic(), time.time_ns()
    time.sleep(seconds)
    took, until_ns = time.monotonic() - began, time.time_ns()
    cores = {
        name: round((sum(process.cpu_times()[:2]) - before[name]) / took, 2)
        for name, process in tree.items()
    }
    time.sleep(_SETTLE_S)
    delays = [delay for each in delays_ms(here, since_ns, until_ns).values() for delay in each]
    sent = took * FPS_MANY * count
    return Many(count, percentiles(delays), round(len(delays) / sent, 3), cores)


def one(folder: Path, means: Means, codec: str, seconds: float) -> One:
    """Measure one camera at 10 fps that sends a clip with its clock in the picture."""
    raw = folder / "raw.i420"
    if not raw.exists():
        with raw.open("wb") as file:
            for image in frames(means.clip, _RAW_FRAMES, every=10):
                file.write(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).tobytes())
    made = RtspServer(means.program, raw=raw, codec=codec, size=SIZE, fps=FPS_ONE)
    with made as server, gateway(folder / codec, means.model, fps=0.0) as here:
        write_camera(here, "one", server.url())
        await_cameras(here, lambda all_: all_["one"]["taken"] > 20, "looked at")
        since_ns = time.time_ns()
        time.sleep(seconds)
        until_ns = time.time_ns()
        stages = here.ask("/status")["latency_ms"]
        time.sleep(_SETTLE_S)
        return One(
            codec=codec,
            sent_to_captured_ms=percentiles(_ages_ms(server.url())),
            captured_to_ack_ms=percentiles(delays_ms(here, since_ns, until_ns)["one"]),
            stages_ms={name: stages[name] for name in ("frame", "infer", "publish", "total")},
        )


def _ages_ms(url: str, count: int = 60) -> list[float]:
    """Read a stream as the gateway does, and return how old each picture is when it is there."""
    source = RtspSource(CameraSettings.model_validate({"url": url}))
    source.open()
    ages: list[float] = []
    try:
        for number in range(3 * count):
            if not source.grab():
                continue
            captured_ns = source.captured_ns() or time.time_ns()
            image = source.retrieve()
            sent_ms = read_clock(image) if image is not None else None
            if number >= count // 2 and sent_ms:  # by then it reads as fast as they come
                ages.append(captured_ns / 1e6 - sent_ms)
            if len(ages) == count:
                break
    finally:
        source.close()
    return ages
