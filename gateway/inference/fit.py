"""Whether a model and its manifest fit together, told at load and not at the first window."""

from typing import NamedTuple

import numpy as np

from gateway.errors import PluginError
from gateway.inference.manifest import MANIFEST, Manifest
from gateway.inference.models import Model, TensorSpec


class Ports(NamedTuple):
    """Which of the model's inputs and outputs are what.

    Attributes:
        input: Takes the windows.
        mask: Takes where a value stood, or "".
        score: Gives the score, or "" when the greatest class does.
        one_by_one: The model takes one window a call: its batch dimension is fixed at 1.
    """

    input: str
    mask: str
    score: str
    one_by_one: bool


def fit(model: Model | None, manifest: Manifest) -> Ports | None:
    """Return the model's ports; None for a plugin without a model.

    Raises:
        PluginError: With the manifest's key that does not fit, and what the model has.
    """
    if model is None:
        if manifest.features is None:
            raise _refusal(manifest, "model.runtime", '"none" needs features.sql or a plugin.py')
        return None
    taken = _input(model, manifest)
    mask = manifest.model.mask_input
    score = _score(model, manifest)
    _check_outputs(model, manifest)
    for name in filter(None, [taken, mask]):
        _check_shape(model.inputs[name], name, manifest)
    return Ports(taken, mask, score, model.inputs[taken].shape[:1] == (1,))


def _input(model: Model, manifest: Manifest) -> str:
    spec = manifest.model
    for key, name in (("input", spec.input), ("mask_input", spec.mask_input)):
        if name and name not in model.inputs:
            reason = f"the model has no input {name!r}; it has {', '.join(model.inputs)}"
            raise _refusal(manifest, f"model.{key}", reason)
    free = [name for name in model.inputs if name != spec.mask_input]
    if not spec.input and len(free) != 1:
        reason = f"name one of the model's inputs: {', '.join(model.inputs)}"
        raise _refusal(manifest, "model.input", reason)
    taken = spec.input or free[0]
    if unfed := [name for name in free if name != taken]:
        raise _refusal(manifest, "model.input", f"nothing feeds the model's input {unfed[0]!r}")
    return taken


def _score(model: Model, manifest: Manifest) -> str:
    spec = manifest.model.outputs
    if spec.score or spec.label:
        return spec.score
    if len(model.outputs) != 1:
        reason = f"name one of the model's outputs: {', '.join(model.outputs)}"
        raise _refusal(manifest, "model.outputs.score", reason)
    return model.outputs[0]


def _check_outputs(model: Model, manifest: Manifest) -> None:
    spec = manifest.model.outputs
    named = [("score", spec.score), ("label", spec.label), ("confidence", spec.confidence)]
    for key, name in [*named, *(("numbers", name) for name in spec.numbers)]:
        if name and name not in model.outputs:
            reason = f"the model has no output {name!r}; it has {', '.join(model.outputs)}"
            raise _refusal(manifest, f"model.outputs.{key}", reason)


def _check_shape(wanted: TensorSpec, name: str, manifest: Manifest) -> None:
    given = _given(manifest)
    fits = len(given.shape) == len(wanted.shape) and wanted.shape[0] in {None, 1}
    if not fits or not all(
        a is None or b is None or a == b
        for a, b in zip(given.shape[1:], wanted.shape[1:], strict=True)
    ):
        key = "features.sql" if manifest.features else "window.steps"
        reason = f"the model's input {name!r} is {wanted}, the manifest gives {given}"
        raise _refusal(manifest, key, reason)
    if wanted.dtype != "bool" and not wanted.dtype.startswith("float"):
        reason = f"{name!r} takes {wanted.dtype}, a window is float"
        raise _refusal(manifest, "model.input", reason)


def _given(manifest: Manifest) -> TensorSpec:
    steps, channels = manifest.window.steps, manifest.window.max_channels
    shapes: dict[str, tuple[int | None, ...]] = {
        "BTC": (None, steps, channels),
        "BCT": (None, channels, steps),
        "flat": (None, steps * channels),
    }
    shape = (None, None) if manifest.features else shapes[manifest.model.layout]
    return TensorSpec(shape, np.dtype(np.float32).name)


def _refusal(manifest: Manifest, field: str, reason: str) -> PluginError:
    return PluginError(str(manifest.folder / MANIFEST), field, reason)
