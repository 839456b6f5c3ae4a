"""Models whose output is a vector that says what a picture is like."""

import numpy as np
from numpy.typing import NDArray

from gateway.inference.manifest import Manifest
from gateway.inference.vision.entry import refusal
from gateway.inference.vision.heads.detections import Outputs, Shapes

_MAX_LENGTH = 8192


def check_vector(manifest: Manifest, shapes: Shapes) -> int:
    """Return the vector's length.

    Raises:
        PluginError: The model gives no vector, or ``model.outputs.score`` names none.
    """
    name = _output(shapes, manifest.model.outputs.score)
    told = ", ".join(f"{each} {list(shape)}" for each, shape in shapes.items())
    if not name:
        key = "model.outputs.score" if manifest.model.outputs.score else "model.file"
        raise refusal(manifest, key, f"no output is one vector a picture; the model gives {told}")
    return int(np.prod(shapes[name][1:]))


def embed(outputs: Outputs, name: str = "") -> NDArray[np.float32]:
    """Return the vector of each picture, float32 [B, D].

    Args:
        outputs: Of the model.
        name: The output; default: the first that is one vector a picture.
    """
    shapes = {each: output.shape for each, output in outputs.items()}
    output = outputs[_output(shapes, name)]
    return np.asarray(output.reshape(len(output), -1), np.float32)


def _output(shapes: Shapes, name: str) -> str:
    fits = (
        each
        for each, shape in shapes.items()
        if name in {"", each} and 1 < int(np.prod(shape[1:])) <= _MAX_LENGTH
    )
    return next(fits, "")
