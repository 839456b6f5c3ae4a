"""A plugin for a detector that is there: ``weir plugin new NAME --detector MODEL``."""

import hashlib
import json
import os
import resource
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import PluginError
from gateway.inference.filekinds import kind_of
from gateway.inference.manifest import MANIFEST, Manifest
from gateway.inference.models import load_model
from gateway.inference.scaffold import new_folder

if TYPE_CHECKING:
    from gateway.inference.vision.guess import Guess

_WORKER_MB = 160
"""Of a worker without its model: Python, OpenVINO, OpenCV."""
_STEP_MB = 64
_OUTCOME = {
    "domain": "site",
    "asset": "camera",
    "kind": "occupancy",
    "labels": ["empty", "present"],
}
_TEXT = """\
# A detector, and what is counted with it. docs/plugins.md and docs/cameras.md tell all keys.
api = 1
name = {name}
version = "0.1.0"
title = {title}

[frame]                     # how the model takes pictures
{frame}

[detect]
head = {head}
classes = {classes}
keep = {keep}

[[count]]                   # zone = [[x, y], ...] counts in a part of the picture
name = "inside"
what = "occupancy"

[model]
{model}

[outcome]
{outcome}

[limits]
memory_mb = {memory_mb}
"""


def new_detector(name: str, parent: Path, model: Path) -> tuple[Path, "Guess"]:
    """Write a plugin that finds and counts objects with a model that is there.

    Args:
        name: The plugin's, and its folder's.
        parent: Where the folder is made.
        model: ``.onnx``, or OpenVINO's ``.xml`` with its ``.bin`` beside it; it is copied.

    Returns:
        The folder, and what the model seems to be.

    Raises:
        PluginError: The name will not do, the folder is there already, or no head reads the model.
    """
    files = _files(model)
    folder = new_folder(name, parent)
    try:
        for file in files:
            shutil.copyfile(file, folder / file.name)
        text, found = _manifest(name, folder, model.name)
    except BaseException:
        shutil.rmtree(folder)
        raise
    # Last: a gateway that watches the folder takes a plugin by its manifest.
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return folder, found


def _files(model: Path) -> list[Path]:
    files = [model, model.with_suffix(".bin")] if model.suffix == ".xml" else [model]
    for file in files:
        if not file.is_file():
            raise PluginError(str(file), "", "no such file")
    if model.suffix not in {".onnx", ".xml"}:
        kind = kind_of(model.read_bytes()) or f"which {model.suffix or 'it'} is not"
        raise PluginError(str(model), "", f"a detector is .onnx or OpenVINO's .xml, {kind}")
    return files


def _manifest(name: str, folder: Path, file: str) -> tuple[str, "Guess"]:
    """Return the manifest's text for the model in the folder, and what the model seems to be."""
    # OpenCV and what needs it take a while to import; the other commands do without.
    from gateway.inference.vision.classes import COCO  # noqa: PLC0415
    from gateway.inference.vision.guess import guess  # noqa: PLC0415

    digest = hashlib.sha256(b"".join(f.read_bytes() for f in _files(folder / file))).hexdigest()
    table = {"runtime": "openvino", "file": file, "sha256": digest}
    before_mb = _peak_mb()
    try:
        draft = _draft(name, folder, table)
        model = load_model(draft)
    except PluginError:
        if not file.endswith(".onnx"):
            raise
        table["runtime"] = "onnxruntime"  # which has all of ONNX's operations
        draft = _draft(name, folder, table)
        model = load_model(draft)
    if model is None:  # the draft names a runtime
        raise PluginError(file, "", "is not loaded")
    found = guess(model, draft, _metadata(folder / file))
    needs_mb = _WORKER_MB + 1.5 * (_peak_mb() - before_mb)
    names = COCO if found.classes == "coco" else found.classes
    text = _TEXT.format(
        name=json.dumps(name),
        title=json.dumps(f"Counts with {Path(file).stem}"[:80], ensure_ascii=False),
        frame=_lines(found.frame),
        head=json.dumps(found.head),
        classes=json.dumps(found.classes, ensure_ascii=False),
        keep=json.dumps(["person" if "person" in names else names[0]], ensure_ascii=False),
        model=_lines(table),
        outcome=_lines(_OUTCOME),
        memory_mb=max(256, -int(-needs_mb // _STEP_MB) * _STEP_MB),
    )
    Manifest.model_validate(tomllib.loads(text), context=folder.resolve())
    return text, found


def _draft(name: str, folder: Path, model: dict[str, str]) -> Manifest:
    """Return a manifest that says no more than what loads the model."""
    table = {
        "api": 1,
        "name": name,
        "version": "0.1.0",
        "title": name,
        "frame": {},
        "model": model,
        "outcome": _OUTCOME,
    }
    return Manifest.model_validate(table, context=folder.resolve())


def _lines(table: dict[str, Any]) -> str:
    """Write a table's keys; what JSON writes of texts, numbers and lists of them, TOML reads."""
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())


def _metadata(file: Path) -> dict[str, str]:
    """Return what an ONNX file says of itself; OpenVINO does not hand it on."""
    if file.suffix != ".onnx":
        return {}
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded
    import onnxruntime as ort  # noqa: PLC0415 - only this command pays for it

    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.log_severity_level = 4  # fatal: OpenVINO has taken it, that is enough
    try:
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - a runtime's own errors share no class; it has no names then
        return {}
    return dict(session.get_modelmeta().custom_metadata_map)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
