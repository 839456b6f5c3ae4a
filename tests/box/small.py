"""A box with 1 GB and 2 cores under the load of a plant: what each unit takes, and if it stays."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gateway.demo.rtsp import rtsp_server
from tests.box.lifecycle import ROOT, STATE, Life, Record
from tests.box.machine import UNITS, Machine, run, wait, write
from tests.box.outside import Hub, Plant

DEVICES = 200
SECONDS = 120.0
FPS = 5.0
_SIZE = (640, 480)
_CAMERA = "entrance"
_DETECTOR = "FastestDet.onnx"
_GROUP = "/sys/fs/cgroup/system.slice"


def strain(box: Machine, hub: Hub, debs: list[Path], folder: Path) -> Record:
    """Load a small box for a while and return what came of it.

    Args:
        box: Clean, running, with our packages in /debs.
        hub: Outside.
        debs: Our packages.
        folder: For files of the test's own.
    """
    life = Life(box, hub, debs, folder)
    life.install()
    _let_in(life)
    life.join()
    plugins = _plugins(life)
    with _camera(folder) as port:
        write(box, f"{STATE}/cameras/{_CAMERA}.toml",
              f'url = "rtsp://{box.outside}:{port}/camera"\n')  # fmt: skip
        with Plant(life.passwords, box.device_address(1883), 1.0) as plant:
            life.record.add("load", None, f"{DEVICES} devices at 1/s, {FPS:g} fps, {plugins}")
            wait("an outcome", hub.count, 120.0)
            began = time.monotonic()
            while time.monotonic() < began + SECONDS:
                time.sleep(10.0)
                _tell_memory(life, time.monotonic() - began)
            plant.finish(60.0)
            life.settle()
            _tell_end(life, plant)
    return life.record


def _let_in(life: Life) -> None:
    names = " ".join(f"machine-{n:03d}" for n in range(DEVICES))
    with life.timed("weir device add", f"{DEVICES} devices"):
        said = run(life.box, f"for n in {names}; do weir device add $n --json; done", 600)
    decoder, at = json.JSONDecoder(), 0
    while at < len(said):
        found, at = decoder.raw_decode(said, at)
        life.passwords[found["name"]] = found["password"]
        while at < len(said) and said[at].isspace():
            at += 1


def _plugins(life: Life) -> str:
    """See to three plugins, and return their names."""
    life.drop(ROOT / "benchmarks/plugins/bench-mean")
    if not (ROOT / "plugins/people-flow").is_dir():
        life.drop(ROOT / "tests/plugins/person-line")
        life.box.put(ROOT.parent / "shared/data" / _DETECTOR, f"{STATE}/plugins/person-line")
    wait("three plugins", lambda: len(_running(life)) >= 3, 60.0, 0.5)
    return ", ".join(_running(life))


def _running(life: Life) -> list[str]:
    return sorted(plugin["name"] for plugin in life.status().get("plugins", []))


@dataclass(frozen=True, slots=True)
class _Use:
    """What a unit takes of the memory, in MB: at the moment, at most, and what it may.

    Attributes:
        killed: How many of its processes were ended for want of memory.
        restarts: How often systemd had to start it again.
    """

    now: float
    peak: float
    limit: float
    killed: int
    restarts: int


def _use(life: Life, unit: str) -> _Use:
    folder = f"{_GROUP}/{unit}.service"
    said = run(
        life.box,
        f"cat {folder}/memory.current {folder}/memory.peak {folder}/memory.max;"
        f" sed -n 's/^oom_kill //p' {folder}/memory.events;"
        f" systemctl show -p NRestarts --value {unit}",
    ).split()
    now, peak, limit = (float(word) / 1e6 if word != "max" else 0.0 for word in said[:3])
    return _Use(now, peak, limit, int(said[3]), int(said[4]))


def _tell_memory(life: Life, after_s: float) -> None:
    each = ", ".join(f"{unit[5:]} {_use(life, unit).now:.0f}" for unit in UNITS)
    free = run(life.box, "sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")
    life.record.add(f"after {after_s:.0f} s, MB", None, f"{each}; available {int(free) / 1e3:.0f}")


def _tell_end(life: Life, plant: Plant) -> None:
    record = life.record
    for unit in UNITS:
        use = _use(life, unit)
        record.add(
            f"{unit}: MB at most", None, f"{use.peak:.0f}, may {use.limit:.0f}; "
            f"processes ended for memory {use.killed}, restarts {use.restarts}",
        )  # fmt: skip
        record.expect(not use.killed and not use.restarts, f"{unit} was ended")
    kernel = life.box.call("journalctl -k --no-pager | grep -ci 'out of memory'").text.strip()
    record.expect(kernel == "0", "the kernel ended something for want of memory")
    said = run(life.box, "ps -C weir,python3,nats-server,mosquitto -o rss=,args= --sort=-rss")
    for line in said.splitlines():
        rss, _, what = line.strip().partition(" ")
        record.add("process, MB", None, f"{int(rss) / 1e3:.0f} {what[-90:]}")
    record.add("readings sent, acknowledged", None, f"{plant.sent}, {plant.acked}")
    record.expect(plant.sent == plant.acked, "readings were not taken")
    status = life.status()
    record.add("outcomes at the hub", None, str(life.hub.count()))
    cameras = json.loads(run(life.box, "weir camera list --json"))
    record.add("camera", None, json.dumps(cameras)[:300])
    record.add("latency, ms", None, json.dumps(status.get("latency_ms", {}).get("total")))


@contextmanager
def _camera(folder: Path) -> Iterator[int]:
    """Serve a clip of somebody who walks past, over RTSP, and give the port."""
    pictures = _clip()

    async def play() -> AsyncIterator[bytes]:
        number = 0
        while True:
            yield pictures[number % len(pictures)]
            number += 1
            await asyncio.sleep(1 / FPS)

    loop = asyncio.new_event_loop()
    ready: list[str] = []
    stop = asyncio.Event()

    async def serve() -> None:
        async with rtsp_server(play) as url:
            ready.append(url)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    wait("the camera", lambda: ready, 10.0)
    try:
        yield int(ready[0].rpartition(":")[2].partition("/")[0])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10.0)
        loop.close()


def _clip() -> list[bytes]:
    """Draw 40 pictures: a room, and a figure that crosses it."""
    rng = np.random.default_rng(1)
    width, height = _SIZE
    room = cv2.GaussianBlur(rng.integers(60, 200, (height, width, 3), np.uint8), (0, 0), 9)
    pictures = []
    for x in range(0, width, width // 40):
        picture = room.copy()
        cv2.ellipse(picture, (x, 300), (30, 90), 0, 0, 360, (40, 30, 90), -1)
        cv2.circle(picture, (x, 185), 24, (120, 150, 200), -1)
        pictures.append(cv2.imencode(".jpg", picture)[1].tobytes())
    return pictures
