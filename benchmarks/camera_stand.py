"""What the measurements with cameras share: a plugin folder, cameras' files, and what to ask."""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stand import Stand

PLUGIN = "people"

CONFIG = """
[gateway]
name = "bench"
state_dir = "{state_dir}"
log_level = "warning"
[mqtt]
port = 0
[hub]
url = "{leaf_url}"
[metrics]
port = -1
[plugins]
shipped = false
"""

_MANIFEST = """
api = 1
name = "%(name)s"
version = "1.0.0"
title = "People over a line and in the picture"
[frame]
fps = %(fps)g
%(frame)s
[detect]
%(detect)s
[[count]]
name = "line"
what = "crossings"
line = [[0.5, 0.0], [0.5, 1.0]]
[[count]]
name = "there"
what = "occupancy"
hold_s = %(hold_s)g
[model]
runtime = "%(runtime)s"
file = "%(file)s"
sha256 = "%(sha256)s"
[outcome]
domain = "building"
asset = "entrance"
kind = "people-flow"
labels = ["people"]
[report]
every_s = 0
always = %(always)s
[limits]
memory_mb = 512
"""

FASTEST_FRAME = 'fit = "stretch"\ncolor = "BGR"'
FASTEST_DETECT = 'head = "fastestdet"\nkeep = ["person"]'


@dataclass(frozen=True, slots=True)
class Means:
    """What is measured with.

    Attributes:
        program: The `gst-python` that tests/get-gstreamer.sh makes.
        model: FastestDet.
        clip: What cameras send: people who walk past.
        plugins: Folders to measure the speed of, instead of those that are made for it.
    """

    program: str
    model: Path
    clip: Path
    plugins: tuple[Path, ...] = ()


def write_plugin(
    dirs: Path,
    model: Path,
    *,
    name: str = PLUGIN,
    frame: str = FASTEST_FRAME,
    detect: str = FASTEST_DETECT,
    fps: float = 0.0,
    hold_s: float = 0.5,
    always: bool = False,
    runtime: str = "onnxruntime",
) -> Path:
    """Make a plugin's folder around a detector, and return it.

    Args:
        dirs: The folder of plugins.
        model: The .onnx.
        name: The plugin's.
        frame: Further keys of the table; FastestDet's if not given.
        detect: The keys of the table; FastestDet's if not given.
        fps: Of each camera, at most; 0: all.
        hold_s: How long the number of people must last to be told.
        always: Every frame is an outcome.
        runtime: What runs the model.
    """
    folder = dirs / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, folder / model.name)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    values = {
        "name": name, "fps": fps, "frame": frame, "detect": detect, "hold_s": hold_s,
        "runtime": runtime, "file": model.name, "sha256": digest, "always": str(always).lower(),
    }  # fmt: skip
    (folder / "plugin.toml").write_text(_MANIFEST % values)
    return folder


def write_camera(here: Stand, name: str, url: str, **keys: float | str) -> None:
    """Write a camera's file; a running gateway takes it up."""
    folder = here.state_dir / "cameras"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'url = "{url}"']
    lines += [f"{key} = {_toml(value)}" for key, value in keys.items()]
    draft = folder / f".{name}.toml"
    draft.write_text("\n".join(lines) + "\n")
    draft.rename(folder / f"{name}.toml")


def cameras(here: Stand) -> dict[str, dict[str, Any]]:
    """Return the gateway's cameras by name."""
    return {each["name"]: each for each in here.ask("/cameras")["cameras"]}


def await_cameras(
    here: Stand,
    fits: Callable[[dict[str, dict[str, Any]]], bool],
    what: str,
    limit_s: float = 20.0,
) -> float:
    """Wait until the cameras are as wanted, and return how long that took.

    Raises:
        RuntimeError: They are not in time.
    """
    began = time.monotonic()
    while time.monotonic() < began + limit_s:
        with contextlib.suppress(KeyError):  # a camera that is not yet taken up
            if fits(cameras(here)):
                return time.monotonic() - began
        time.sleep(0.05)
    raise RuntimeError(f"not {what} in {limit_s:g} s: {cameras(here)}")


def delays_ms(here: Stand, since_ns: int, until_ns: int) -> dict[str, list[float]]:
    """Return the times from capture to PubAck, by camera, of the frames captured between."""
    query = (
        "SELECT source, list((epoch_us(time) - epoch_us(window_end)) / 1e3) FROM outcome"  # noqa: S608 - a number
        f" WHERE epoch_us(window_end) BETWEEN {since_ns // 1000} AND {until_ns // 1000}"
        " GROUP BY source"
    )
    rows: list[tuple[str, list[float]]] = here.ask("/sql", query)["rows"]
    return dict(rows)


def percentiles(values: list[float], which: tuple[int, ...] = (50, 95, 99)) -> list[float]:
    """Return percentiles, rounded; empty of nothing."""
    if not values:
        return []
    return [round(float(v), 1) for v in np.percentile(values, which)]


def _toml(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"
