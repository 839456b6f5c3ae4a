"""What a detector's file tells of itself, and what is usual for its family."""

import ast
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import PluginError
from gateway.inference.frame_sections import FrameSection
from gateway.inference.manifest import Manifest
from gateway.inference.models import Model
from gateway.inference.vision.classes import COCO
from gateway.inference.vision.eye import Eye
from gateway.inference.vision.fitting import candidates
from gateway.inference.vision.heads.detections import ANY, Shapes

_SIDE_PX = 640
"""Of a model that takes any size."""
_PART = 0.003921569  # 1 / 255

# How each family is trained, which no file says. Sources: the repositories that the heads name.
_USUAL: dict[str, dict[str, Any]] = {
    "yolo": {"fit": "letterbox", "color": "RGB", "scale": _PART},
    "yolox": {"fit": "letterbox", "color": "BGR", "scale": 1.0},
    "nanodet": {
        "fit": "stretch",
        "color": "BGR",
        "scale": 1.0,
        "mean": [103.53, 116.28, 123.675],
        "std": [57.375, 57.12, 58.395],
    },
    "fastestdet": {"fit": "stretch", "color": "BGR", "scale": _PART},
    "ssd": {"fit": "stretch", "color": "RGB", "scale": _PART},
    "detr": {"fit": "stretch", "color": "RGB", "scale": _PART},
}
_DETR_NORMALISED = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
"""Of DETR and those with as many logits, one of which is for "no object", or COCO's own 91."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A detector as it seems to be.

    Attributes:
        head: What reads its outputs.
        classes: Their names, or ``coco``.
        frame: The keys of ``[frame]``.
        told: What was found, and what was assumed, a sentence each.
    """

    head: str
    classes: tuple[str, ...] | str
    frame: dict[str, Any]
    told: tuple[str, ...]


def guess(model: Model, draft: Manifest, metadata: Mapping[str, str]) -> Guess:
    """Return what a model seems to be; it is run once.

    Args:
        model: The loaded model.
        draft: A manifest that names it, whatever it says of frames.
        metadata: What the model's file says of itself; Ultralytics writes ``names``.

    Raises:
        PluginError: It takes no pictures, or no head reads its outputs.
    """
    axes = _axes(model)
    eye = Eye(model, draft.model_copy(update={"frame": FrameSection(**axes)}))
    shapes = ", ".join(f"{each} {list(shape)}" for each, shape in eye.shapes.items())
    found = candidates(eye.shapes, eye.size)
    if not found:
        reason = f"no head reads its outputs, {shapes}{_other_use(eye.shapes)}"
        raise PluginError(draft.model.file, "", reason)
    head, count = found[0]
    classes, told = _classes(count, _names(metadata))
    usual = dict(_USUAL[head])
    widths = {shape[-1] for shape in eye.shapes.values()}
    if head == "detr" and len(widths) == 2 and count not in widths:
        usual |= _DETR_NORMALISED
    if any(spec.dtype == "uint8" for spec in model.inputs.values()):
        usual.pop("scale")
    assumed = ", ".join(f"{key} = {value}" for key, value in usual.items())
    others = [f"{other} ({n} classes)" if n else other for other, n in found[1:3]]
    told_others = f", or {', '.join(others)}" if others else ""
    return Guess(
        head,
        classes,
        usual | axes,
        (
            f"outputs {shapes}: head = {head}{told_others}",
            f"input {eye.size[0]} x {eye.size[1]} px",
            told,
            f"assumed, as is usual for {head}: {assumed}",
        ),
    )


def _axes(model: Model) -> dict[str, Any]:
    """Return the keys of ``[frame]`` that the model's input decides."""
    taken = next((s.shape for s in model.inputs.values() if len(s.shape) == 4), None)
    if taken is None:
        return {}
    last = taken[3] == 3 and taken[1] != 3
    sides = taken[1:3] if last else taken[2:]
    keys: dict[str, Any] = {"layout": "NHWC"} if last else {}
    return keys | (
        {} if all(sides) else {"width": sides[1] or _SIDE_PX, "height": sides[0] or _SIDE_PX}
    )


def _names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the classes' names as Ultralytics writes them, ``{0: 'person', ...}``, or ()."""
    try:
        table = ast.literal_eval(metadata.get("names", ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    values = table.values() if isinstance(table, dict) else table
    if not isinstance(table, dict | list | tuple) or not all(isinstance(v, str) for v in values):
        return ()
    return tuple(values)


def _classes(count: int, names: tuple[str, ...]) -> tuple[tuple[str, ...] | str, str]:
    if names and count in {ANY, len(names)}:
        if len(names) == len(COCO) and names[0] == COCO[0]:
            return "coco", "its file names COCO's 80 classes"
        return names, f"its file names {len(names)} classes: {', '.join(names[:5])}"
    if count in {ANY, len(COCO)}:
        told = "80 classes" if count else "how many classes there are is not known"
        return "coco", f"{told}: classes = coco, in the usual order"
    placeholders = tuple(f"class-{number}" for number in range(count))
    return placeholders, f"{count} classes, and no names: write them into detect.classes"


def _other_use(shapes: Shapes) -> str:
    flat = itertools.chain.from_iterable([s[1:] for s in shapes.values() if len(s) == 2])
    if count := next(flat, 0):
        return f"; {count} numbers a picture are of a model for [classify] or [embed]"
    return "; a plugin.py may read them"
