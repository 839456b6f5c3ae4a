"""A real RTSP server, a gateway, a real hub: what is seen arrives, whatever befalls a camera."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.camera_chaos import MUST_RETURN_S, VICTIM, Scene
from benchmarks.camera_stand import CONFIG, await_cameras, cameras, write_camera, write_plugin
from benchmarks.stand import Stand, stand
from benchmarks.truth import at_hub
from tests.rtsp_server import RtspServer, Wire

STEADY = "steady"


@pytest.fixture
def here(tmp_path: Path, shared: Path) -> Iterator[Stand]:
    """Give a gateway with a hub and a plugin that tells every frame."""
    with stand(tmp_path) as made:
        made.start_hub()
        made.write_config(CONFIG)
        write_plugin(made.state_dir / "plugins", shared / "data/FastestDet.onnx", always=True)
        made.start_gateway()
        yield made


def gap_s(here: Stand, source: str) -> float:
    """Return the longest time between two frames of a camera that were looked at."""
    rows = here.ask(
        "/sql",
        "SELECT max(gap) / 1e6 FROM (SELECT epoch_us(window_end)"  # noqa: S608 - a test's own
        " - lag(epoch_us(window_end)) OVER (ORDER BY window_end) AS gap"
        f" FROM outcome WHERE source = '{source}')",
    )["rows"]
    return float(rows[0][0])


async def test_camera_is_looked_at_again_within_5_s_when_its_trouble_ends(
    here: Stand, gst_python: str, shared: Path
) -> None:
    made = RtspServer(gst_python, size=(640, 360), fps=10.0)
    with made as server, RtspServer(gst_python, file=shared / "data/person.mp4") as other:
        wire = Wire(server.port)
        write_camera(
            here, VICTIM, server.url(port=wire.port), stall_after_s=2.0, frozen_after_s=2.0
        )
        write_camera(here, STEADY, other.url())
        await_cameras(
            here, lambda all_: min(all_[n]["taken"] for n in (VICTIM, STEADY)) > 5, "looked at"
        )
        scene = Scene(here, server, wire, random.Random(1), 0.7)  # noqa: S311 - moments of a test

        for _ in range(3):
            scene.kill()
        scene.cut()
        scene.freeze()
        scene.damage()
        server.resize(320, 240)
        scene.note_return("size changed", time.time_ns())
        server.kill()
        server.start(size=(800, 448))
        scene.note_return("another size", time.time_ns())
        await_cameras(here, lambda all_: all_[VICTIM]["width"] == 800, "in its new size")
        wire.close()

    assert max(max(times) for times in scene.back_s.values()) <= MUST_RETURN_S, scene.back_s
    assert gap_s(here, STEADY) < 1.0  # 10 fps: the other camera noticed nothing
    assert cameras(here)[STEADY]["reconnects"] == 0

    here.settle()
    told = [json.loads(each.payload) for each in await at_hub(here.hub_url)]
    sources = {packet["src"] for packet in told}
    assert sources == {VICTIM, STEADY}
