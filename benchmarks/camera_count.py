"""Persons who cross lines in a clip that comes over RTSP, against a count made by eye."""

import asyncio
import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.camera_stand import CONFIG, Means, await_cameras, cameras, write_camera
from benchmarks.stand import stand
from benchmarks.truth import at_hub
from tests.rtsp_server import RtspServer

_TESTS = Path(__file__).parents[1] / "tests"
BY_EYE = _TESTS / "data" / "person_crossings.json"
_PLUGIN = _TESTS / "plugins" / "person-line"
_CAMERA = "room"
_CLIP_S = 139.4
_LEFT_S = 5.0  # for the last report


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted over each line, ``<line>_in`` and ``<line>_out``.

    Attributes:
        by_eye: In the clip.
        at_hub: Summed over the packets that the hub has.
        packets: How many they are.
        frames: That were looked at.
    """

    by_eye: dict[str, int]
    at_hub: dict[str, int]
    packets: int
    frames: int


def run(folder: Path, means: Means) -> Counted:
    """Play the clip once, at its own pace, to a gateway with a hub."""
    with stand(folder) as here:
        here.start_hub()
        here.write_config(CONFIG)
        plugin = here.state_dir / "plugins" / _PLUGIN.name
        shutil.copytree(_PLUGIN, plugin)
        shutil.copyfile(means.model, plugin / means.model.name)
        here.start_gateway()
        with RtspServer(means.program, file=means.clip, loop=False) as server:
            write_camera(here, _CAMERA, server.url())
            await_cameras(here, lambda all_: all_[_CAMERA]["taken"] > 0, "looked at")
            time.sleep(_CLIP_S)
            frames = cameras(here)[_CAMERA]["taken"]
        time.sleep(_LEFT_S)
        told = asyncio.run(at_hub(here.hub_url))
    sums: Counter[str] = Counter()
    for each in told:
        sums.update({name: int(n) for name, n in json.loads(each.payload)["num"].items()})
    return Counted(by_eye(), {name: sums[name] for name in by_eye()}, len(told), frames)


def by_eye() -> dict[str, int]:
    """Return the crossings that somebody saw, by line and direction."""
    seen = json.loads(BY_EYE.read_text(encoding="utf-8"))
    counted = Counter(f"{each['line']}_{each['direction']}" for each in seen["crossings"])
    return {
        f"{line}_{way}": counted[f"{line}_{way}"] for line in seen["lines"] for way in ("in", "out")
    }
