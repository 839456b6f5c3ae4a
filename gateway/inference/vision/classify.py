"""Models that name the whole picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.inference.manifest import Manifest
from gateway.inference.vision.entry import refusal
from gateway.inference.vision.heads.detections import Outputs, Shapes, softmax

_SLACK = 0.02
"""By which the sum of probabilities may miss 1: half floats and INT8 do."""


def check_classes(manifest: Manifest, shapes: Shapes) -> None:
    """Refuse a model that does not give a number for each of ``outcome.labels``.

    Raises:
        PluginError: With what the model gives.
    """
    labels = manifest.outcome.labels
    if _output(shapes, len(labels)):
        return
    told = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    reason = f"{len(labels)} labels; the model gives {told}: one number for each label is needed"
    raise refusal(manifest, "outcome.labels", reason)


def classify(outputs: Outputs, labels: tuple[str, ...]) -> list[tuple[str, float]]:
    """Return the likeliest label of each picture and its probability, 0 where there is none.

    Outputs that are no probabilities (not 0 to 1, or their sum not 1) go through a softmax.

    Args:
        outputs: Of the model, one of them with a number for each label.
        labels: In the model's order.
    """
    shapes = {name: output.shape for name, output in outputs.items()}
    table = outputs[_output(shapes, len(labels))].reshape(-1, len(labels))
    chances = _probabilities(np.asarray(table, np.float32))
    best = chances.argmax(axis=1).tolist()
    sure = chances.max(axis=1).tolist()
    return [(labels[number], score) for number, score in zip(best, sure, strict=True)]


def _output(shapes: Shapes, classes: int) -> str:
    fits = (n for n, s in shapes.items() if s[1:] and int(np.prod(s[1:])) == classes)
    return next(fits, "")


def _probabilities(table: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        within = (table >= 0).all() and (table <= 1 + _SLACK).all()
        sums = np.abs(table.sum(axis=1) - 1) <= _SLACK
    chances = table if within and (sums.all() or table.shape[1] == 1) else softmax(table)
    return np.minimum(np.where(np.isfinite(chances), chances, 0), 1).astype(np.float32)
