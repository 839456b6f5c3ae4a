"""Cameras: speed, how many, how long, INT8 against FP32, and trouble. Tables, or JSON.

python -m benchmarks.cameras [speed] [int8] [many] [one] [chaos] [count] [--json FILE]
python -m benchmarks.cameras speed --plugin FOLDER [--clip VIDEO]    # of a model of your own
"""

import argparse
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import camera_chaos, camera_count, camera_load, camera_speed, heavy_model
from benchmarks.camera_stand import Means, write_plugin
from gateway.inference.manifest import load_manifest

_ROOT = Path(__file__).parents[1]
_DATA = Path(os.environ.get("SHARED_DATA", _ROOT.parent / "shared")) / "data"
_PEOPLE_FLOW = _ROOT / "plugins" / "people-flow"
_COUNTS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128)
_SECONDS = 10.0
_HEAVY_FRAME = 'fit = "letterbox"'
_HEAVY_DETECT = 'head = "yolo"'
_MUST_SHARE = 0.85

Document = dict[str, Any]


def speed(folder: Path, means: Means) -> Document:
    """Print the whole path's speed on one core against the bare model's."""
    plugins = means.plugins or _plugins(folder, means)
    found = [camera_speed.measure(plugin, means.clip) for plugin in plugins]
    print("on one core: decode, fit, look, count, packet; and the model alone")
    for each in found:
        print(f"  {each.model}: the model alone {1000 / each.bare.ms:.0f} frames/s,"
              f" {each.bare.cpu_ms:.2f} ms of processor time")  # fmt: skip
        for way in each.ways:
            _print_way(way, each.bare)
    if not means.plugins:
        print("  (heavy: random weights, the cost of a small YOLO at 640 x 640)")
    return {each.model: dataclasses.asdict(each) for each in found}


def _plugins(folder: Path, means: Means) -> tuple[Path, ...]:
    """Return the folders of those that are measured when nobody names others."""
    dirs = folder / "plugins"
    plugins = [write_plugin(dirs, means.model, name="fastestdet")]
    if any(_PEOPLE_FLOW.glob("*.onnx")):
        plugins.append(_PEOPLE_FLOW)
    heavy = heavy_model.write(folder / "heavy.onnx")
    plugins.append(
        write_plugin(dirs, heavy, name="heavy", frame=_HEAVY_FRAME, detect=_HEAVY_DETECT)
    )
    return tuple(plugins)


def _print_way(way: camera_speed.Way, bare: camera_speed.Cost) -> None:
    around_ms = way.frame.cpu_ms - bare.cpu_ms
    decode_ms = way.stages_ms["decode"] + way.stages_ms["to BGR"]
    print(f"    {way.cameras} camera{'s' * (way.cameras > 1)}:"
          f" {1000 / way.frame.ms:.0f} frames/s, {way.frame.cpu_ms:.2f} ms of processor time;"
          f" share {way.share.ms:.0%}, of processor time {way.share.cpu_ms:.0%}"
          f" (wanted {_MUST_SHARE:.0%}; with nothing but decoding"
          f" {bare.cpu_ms / (bare.cpu_ms + decode_ms):.0%})")  # fmt: skip
    print(f"      {around_ms:.2f} ms a frame around the model: {_MUST_SHARE:.0%} from a model of"
          f" {around_ms * _MUST_SHARE / (1 - _MUST_SHARE):.1f} ms on")  # fmt: skip
    stages = ", ".join(f"{stage} {ms:.2f}" for stage, ms in way.stages_ms.items())
    print(f"      ms a frame: {stages}")


def int8(folder: Path, means: Means) -> Document:
    """Print INT8 against FP32: speed, and what changes in the detections."""
    models = sorted(_PEOPLE_FLOW.glob("*.onnx"))
    quick = [model for model in models if "int8" in model.name]
    if not quick or len(models) < 2:
        print("no two models in plugins/people-flow: left out")
        return {}
    full = next(model for model in models if model not in quick)
    text = (_PEOPLE_FLOW / "plugin.toml").read_text()
    plugins = []
    for kind, model in (("fp32", full), ("int8", quick[0])):
        plugins.append(_variant(folder / kind, text, model))
    images = camera_speed.frames(means.clip, 300, every=4)
    fast = [camera_speed.measure(plugin, means.clip) for plugin in plugins]
    like = camera_speed.compare(plugins[0], plugins[1], images)
    for kind, each in zip(("FP32", "INT8"), fast, strict=True):
        whole = ", ".join(f"{1000 / way.frame.ms:.0f} with {way.cameras}" for way in each.ways)
        print(f"  {kind}: model alone {1000 / each.bare.ms:.0f} frames/s, whole {whole} cameras")
    print(f"  objects found in {len(images)} frames: FP32 {like.found[0]}, INT8 {like.found[1]};"
          f" {like.same:.1%} of FP32's are INT8's too, score differs by {like.score_change:.3f};"
          f" as many in {like.frames_same_count:.1%} of the frames")  # fmt: skip
    return {
        "fp32": dataclasses.asdict(fast[0]),
        "int8": dataclasses.asdict(fast[1]),
        "likeness": dataclasses.asdict(like),
    }


def _variant(dirs: Path, text: str, model: Path) -> Path:
    """Copy people-flow with one of its models as the model."""
    manifest = load_manifest(_PEOPLE_FLOW).model
    draft = write_plugin(dirs, model, name=_PEOPLE_FLOW.name)
    digest = load_manifest(draft).model.sha256
    changed = text.replace(manifest.sha256, digest).replace(f'"{manifest.file}"', f'"{model.name}"')
    (draft / "plugin.toml").write_text(changed)
    return draft


def many(folder: Path, means: Means) -> Document:
    """Print how many cameras of 5 fps the machine carries."""
    found = camera_load.many(folder, means, _COUNTS, _SECONDS)
    print(f"RTSP cameras, 768x432 H.264, {camera_load.FPS_MANY:g} fps, FastestDet, on"
          f" {os.cpu_count()} cores that also run the RTSP server and the hub")  # fmt: skip
    for each in found:
        p50, p95, p99 = each.age_ms
        cores = ", ".join(f"{name} {used:.2f}" for name, used in each.cores.items())
        print(f"  {each.cameras:3} cameras: age p50 {p50} p95 {p95} p99 {p99} ms,"
              f" looked at {each.looked_at:.1%}; cores: {cores}")  # fmt: skip
    carried = max((each.cameras for each in found if each.carried), default=0)
    print(f"  carried with p95 <= {camera_load.MUST_AGE_MS:g} ms: {carried}")
    return {"carried": carried, "runs": [dataclasses.asdict(each) for each in found]}


def one(folder: Path, means: Means) -> Document:
    """Print how long a frame takes from the camera to the PubAck."""
    found = [camera_load.one(folder, means, codec, 20.0) for codec in ("h264", "mjpeg")]
    print(f"one camera at {camera_load.FPS_ONE:g} fps, 768x432, every frame an outcome; ms")
    for each in found:
        print(f"  {each.codec}: captured to PubAck p50, p95, p99 {each.captured_to_ack_ms};"
              f" sent to captured {each.sent_to_captured_ms}")  # fmt: skip
        stages = ", ".join(
            f"{stage} p50 {ms['p50']} p95 {ms['p95']}" for stage, ms in each.stages_ms.items()
        )
        print(f"    {stages}")
    return {each.codec: dataclasses.asdict(each) for each in found}


def chaos(folder: Path, means: Means) -> Document:
    """Print how a camera comes back from trouble, and what the others notice."""
    found = camera_chaos.run(folder, means, kills=50)
    print("a camera in trouble: s from its return to the next frame looked at")
    for trouble, times in found.back_s.items():
        p50, worst = sorted(times)[len(times) // 2], max(times)
        print(f"  {trouble:15} {len(times):3} times: p50 {p50:.2f}, longest {worst:.2f}")
    memory = ", ".join(f"{name} {a} -> {b} MB" for name, (a, b) in found.memory_mb.items())
    print(f"  longest {found.worst_s} s (must: {camera_chaos.MUST_RETURN_S:g});"
          f" {found.reconnects} reconnects; a picture that stands still is noticed after"
          f" {found.frozen_seen_s} s")  # fmt: skip
    print(f"  before -> after: {memory}; threads {found.threads}, open files {found.files}")
    print(f"  other cameras: {found.others_fps} frames/s, longest gap {found.others_gap_s} s,"
          f" age at PubAck p50, p95, p99 {found.others_delay_ms} ms")  # fmt: skip
    return dataclasses.asdict(found) | {"worst_s": found.worst_s}


def count(folder: Path, means: Means) -> Document:
    """Print who was counted over two lines in a clip over RTSP, and who was seen there."""
    found = camera_count.run(folder, means)
    print(f"persons over lines, {means.clip.name} over RTSP, {found.frames} frames looked at,"
          f" {found.packets} packets at the hub")  # fmt: skip
    for name, seen in found.by_eye.items():
        print(f"  {name:10} by eye {seen}, in the packets {found.at_hub[name]}")
    return dataclasses.asdict(found)


MEASUREMENTS: dict[str, Callable[[Path, Means], Document]] = {
    "speed": speed,
    "int8": int8,
    "many": many,
    "one": one,
    "chaos": chaos,
    "count": count,
}
_ALONE = ("speed", "int8")
"""They need no RTSP server."""


def main(
    names: tuple[str, ...] = (),
    report: Path | None = None,
    plugins: tuple[Path, ...] = (),
    clip: Path = _DATA / "person.mp4",
) -> None:
    """Run the measurements named, or all, and print what they gave.

    Args:
        names: Of ``MEASUREMENTS``.
        report: Where to write the same as JSON.
        plugins: Folders of plugins with a ``[detect]`` whose speed is measured, and nothing else.
        clip: A video.
    """
    program = _ROOT / ".tools" / "bin" / "gst-python"
    means = Means(str(program), _DATA / "FastestDet.onnx", clip, plugins)
    wanted = [means.clip] if plugins else [means.clip, means.model]
    if missing := [file for file in wanted if not file.is_file()]:
        print(f"left out: no {' and '.join(map(str, missing))}")
        return
    documents: Document = {}
    for name in ("speed",) if plugins else names or tuple(MEASUREMENTS):
        if name not in _ALONE and not program.is_file():
            print(f"{name}: left out: no RTSP server, see tests/get-gstreamer.sh")
            continue
        print(f"-- {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="weir-cameras-") as folder:
            documents[name] = MEASUREMENTS[name](Path(folder), means)
    if report is not None:
        report.write_text(json.dumps(documents, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cameras", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MEASUREMENTS])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--plugin",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="measure the speed of this plugin, which has a [detect]; may be given again",
    )
    parser.add_argument("--clip", type=Path, default=_DATA / "person.mp4", metavar="VIDEO")
    options = parser.parse_args()
    main(tuple(options.names), options.json, tuple(options.plugin), options.clip)
