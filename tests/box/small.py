"""A box with 1 GB and 2 cores under the load of a plant: what each unit takes, and if it stays."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from gateway.demo.rtsp import rtsp_server
from tests.box.lifecycle import ROOT, STATE, Life, Record
from tests.box.machine import UNITS, run, wait, write
from tests.box.nspawn import Nspawn
from tests.box.outside import Hub, Plant

DEVICES = 200
SECONDS = 120.0
FPS = 5.0
_SIZE = (640, 480)
_CAMERA = "demo-entrance"
_DETECTOR = "FastestDet.onnx"
_GROUP = "/sys/fs/cgroup/system.slice"
_EVENTS = ("memory.oom_control", "memory.events")  # control groups of version 1, of version 2


def strain(box: Nspawn, hub: Hub, debs: list[Path], folder: Path) -> Record:
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
    with _camera(box.outside) as port:
        write(box, f"{STATE}/cameras/{_CAMERA}.toml",
              f'url = "rtsp://{box.outside}:{port}/camera"\n')  # fmt: skip
        with Plant(life.passwords, box.device_address(1883), 1.0) as plant:
            life.record.add("load", None, f"{DEVICES} devices at 1/s, {FPS:g} fps, {plugins}")
            wait("an outcome", hub.count, 120.0)
            began, most = time.monotonic(), dict[str, float]()
            while time.monotonic() < began + SECONDS:
                time.sleep(20.0)
                _tell_memory(life, time.monotonic() - began, most)
            plant.finish(60.0)
            life.settle()
            _tell_end(life, plant, box.memory_group, most)
    return life.record


def _let_in(life: Life) -> None:
    names = "".join(f"machine-{n:03d}\n" for n in range(DEVICES))
    write(life.box, "/root/devices", names)
    with life.timed("weir device add", f"{DEVICES} devices"):
        said = run(life.box, "weir device add --from /root/devices --json", 600)
    life.passwords |= {
        each["name"]: each["password"] for each in map(json.loads, said.splitlines())
    }


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


def _memory_mb(life: Life, unit: str) -> float:
    """Return what the processes of a unit take; what several share is shared out among them."""
    said = run(
        life.box,
        f"for p in $(cat $(find {_GROUP}/{unit}.service -name cgroup.procs)); do"
        " sed -n 's/^Pss: *\\([0-9]*\\) kB/\\1/p' /proc/$p/smaps_rollup; done 2>/dev/null; true",
    )
    return sum(map(int, said.split())) * 1024 / 1e6


def _tell_memory(life: Life, after_s: float, most: dict[str, float]) -> None:
    """Note what each unit takes, and keep the most of each."""
    now = {unit: _memory_mb(life, unit) for unit in UNITS}
    for unit, megabytes in now.items():
        most[unit] = max(most.get(unit, 0.0), megabytes)
    each = ", ".join(f"{unit} {megabytes:.0f}" for unit, megabytes in now.items())
    life.record.add(f"after {after_s:.0f} s, MB", None, f"{each}; all {sum(now.values()):.0f}")


def _tell_end(life: Life, plant: Plant, group: Path, most: dict[str, float]) -> None:
    record = life.record
    for unit in UNITS:
        restarts = run(life.box, f"systemctl show -p NRestarts --value {unit}").strip()
        record.add(f"{unit}: MB at most", None, f"{most[unit]:.0f}; restarts {restarts}")
        record.expect(restarts == "0", f"{unit} was started again")
    events = next(file for name in _EVENTS if (file := group / name).exists())
    killed = next(line for line in events.read_text().splitlines() if line.startswith("oom_kill "))
    record.add("processes ended for want of memory", None, killed.split()[1])
    record.expect(killed.split()[1] == "0", "something was ended for want of memory")
    said = run(life.box, "ps -C weir,python3,nats-server,mosquitto -o rss=,args= --sort=-rss")
    for line in said.splitlines():
        rss, _, what = line.strip().partition(" ")
        record.add("process, MB", None, f"{int(rss) / 1e3:.0f} {what[-90:]}")
    record.add("readings sent, acknowledged", None, f"{plant.sent}, {plant.acked}")
    status = life.status()
    record.add("messages", None, json.dumps(status["messages"]))
    record.add("outcomes at the hub", None, str(life.hub.count()))
    record.add("cameras", None, json.dumps(json.loads(run(life.box, "weir camera list --json"))))
    record.add("latency, ms", None, json.dumps(status["latency_ms"]["total"]))


@contextmanager
def _camera(host: str) -> Iterator[int]:
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
        async with rtsp_server(play, host=host) as url:
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
