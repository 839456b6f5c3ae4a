"""Which of a model's inputs takes the pictures, and whether it can."""

from typing import NamedTuple

from gateway.errors import PluginError
from gateway.inference.frame_sections import MAX_SIDE_PX, FrameSection
from gateway.inference.manifest import MANIFEST, Manifest
from gateway.inference.models import Model, TensorSpec
from gateway.inference.vision.heads.detections import Size

_DTYPES = ("float32", "float16", "uint8")


class Entry(NamedTuple):
    """How pictures go into a model.

    Attributes:
        name: Of the input.
        size: Width and height of the pictures.
        dtype: Of the tensor.
        one: The model takes one picture a call.
        size_name: An input that wants to be told the size, int64 or float [1, 2]; "" as a rule.
    """

    name: str
    size: Size
    dtype: str
    one: bool
    size_name: str


def find_entry(model: Model, manifest: Manifest) -> Entry:
    """Return how pictures go into the model.

    Raises:
        PluginError: With the manifest's key that does not fit, and what would.
    """
    frame = manifest.frame or FrameSection()
    name = _input(model, manifest)
    taken = model.inputs[name]
    _check_axes(taken, name, frame, manifest)
    if taken.dtype not in _DTYPES:
        reason = f"the model's input {name!r} takes {taken.dtype}; pictures are float or uint8"
        raise refusal(manifest, "model.input", reason)
    if taken.dtype == "uint8" and {"scale", "mean", "std"} & frame.model_fields_set:
        reason = f"the model's input {name!r} takes pixels as they are: leave scale, mean, std out"
        raise refusal(manifest, "frame.scale", reason)
    others = [other for other in model.inputs if other != name]
    for other in others:
        if model.inputs[other].shape[-1:] != (2,):
            raise refusal(manifest, "model.input", f"nothing feeds the model's input {other!r}")
    one = taken.shape[0] is not None
    size_name = others[0] if others else ""
    return Entry(name, _size(taken, frame, manifest), taken.dtype, one, size_name)


def input_size(model: Model | None, manifest: Manifest) -> Size:
    """Return width and height of the pictures for a plugin with its own ``plugin.py``.

    Raises:
        PluginError: Neither the manifest nor the model says.
    """
    frame = manifest.frame or FrameSection()
    if frame.width and frame.height:
        return frame.width, frame.height
    if model is None:
        raise refusal(manifest, "frame.width", "is required, and frame.height, without a model")
    return find_entry(model, manifest).size


def refusal(manifest: Manifest, field: str, reason: str) -> PluginError:
    """Return the error that says which key of the manifest does not fit, and why."""
    return PluginError(str(manifest.folder / MANIFEST), field, reason)


def _input(model: Model, manifest: Manifest) -> str:
    name = manifest.model.input
    told = ", ".join(f"{each} {spec}" for each, spec in model.inputs.items())
    if name and name not in model.inputs:
        reason = f"the model has no input {name!r}; it has {told}"
        raise refusal(manifest, "model.input", reason)
    pictures = [name] if name else [n for n, s in model.inputs.items() if len(s.shape) == 4]
    if not pictures or len(model.inputs[pictures[0]].shape) != 4:
        reason = f"pictures are [1, 3, height, width] or [1, height, width, 3]; it has {told}"
        raise refusal(manifest, "model.input", f"the model takes no pictures: {reason}")
    if len(pictures) > 1:
        raise refusal(manifest, "model.input", f"name one of the model's inputs: {told}")
    return pictures[0]


def _check_axes(taken: TensorSpec, name: str, frame: FrameSection, manifest: Manifest) -> None:
    first, last = taken.shape[1], taken.shape[3]
    given, other = (first, last) if frame.layout == "NCHW" else (last, first)
    if given not in {3, None} or (given is None and other == 3):
        if other == 3:
            fits = "NHWC" if frame.layout == "NCHW" else "NCHW"
            reason = f'the model\'s input {name!r} is {taken}, which is layout = "{fits}"'
            raise refusal(manifest, "frame.layout", reason)
        reason = f"the model's input {name!r} is {taken}; a picture has 3 channels"
        raise refusal(manifest, "model.input", reason)
    if taken.shape[0] not in {1, None}:
        reason = f"the model's input {name!r} is {taken}: it must take 1 picture, or any number"
        raise refusal(manifest, "model.input", reason)


def _size(taken: TensorSpec, frame: FrameSection, manifest: Manifest) -> Size:
    axes = taken.shape[2:] if frame.layout == "NCHW" else taken.shape[1:3]
    told = f"the model's input is {taken}"
    sides = []
    for key, given, fixed in (
        ("frame.width", frame.width, axes[1]),
        ("frame.height", frame.height, axes[0]),
    ):
        if fixed is None and not given:
            reason = "it takes any size, so say which: width = 640 and height = 640, as a rule"
            raise refusal(manifest, key, f"{told}: {reason}")
        if fixed is not None and given not in {0, fixed}:
            raise refusal(manifest, key, f"{given}: {told}: give {fixed}, or leave it out")
        if (fixed or given) > MAX_SIDE_PX:
            raise refusal(manifest, key, f"{told}: over {MAX_SIDE_PX} px")
        sides.append(fixed or given)
    return sides[0], sides[1]
