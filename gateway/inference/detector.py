"""What evaluates windows when a plugin brings no Python: tensor or features, model, label."""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gateway.inference.fit import Ports, fit
from gateway.inference.manifest import Manifest
from gateway.inference.models import Array, Model
from gateway.model import Result, Windows

_LAYOUTS = {"BTC": (0, 1, 2), "BCT": (0, 2, 1)}


class Detector:
    """Windows to results, as the manifest says.

    Without a model the first feature is the score and the others are numbers. A window whose
    score is not finite gives a suppressed result: nothing can be said of it.

    Args:
        model: The loaded model, or None.
        manifest: The plugin's.

    Raises:
        PluginError: Manifest and model do not fit together.
    """

    def __init__(self, model: Model | None, manifest: Manifest) -> None:
        self._model = model
        self._manifest = manifest
        self._ports = fit(model, manifest)

    def evaluate(self, windows: Windows) -> list[Result]:
        """Return a result for each window; the model runs once for all of them."""
        if self._model is None or self._ports is None:
            return self._from_features(windows)
        outputs = self._run(self._model, self._tensors(self._model, self._ports, windows))
        spec = self._manifest.model.outputs
        numbers = {name: _column(outputs, name, len(windows)) for name in spec.numbers}
        sure = _column(outputs, spec.confidence, len(windows)) if spec.confidence else None
        if spec.label:
            chosen, best = self._classes(outputs[spec.label], len(windows))
            name = self._ports.score
            scores = _column(outputs, name, len(windows)) if name else best
            sure = best if sure is None else sure
            labels = [self._manifest.outcome.labels[i] for i in chosen]
        else:
            scores = _column(outputs, self._ports.score, len(windows))
            labels = [self._label(score) for score in scores.tolist()]
        return _results(labels, scores, sure, numbers)

    def _from_features(self, windows: Windows) -> list[Result]:
        if not windows.features.shape[1]:
            raise ValueError("features.sql gave no feature; the first one is the score")
        scores = windows.features[:, 0]
        names = windows.feature_names[1:9]
        numbers = {name: windows.features[:, i] for i, name in enumerate(names, start=1)}
        return _results([self._label(s) for s in scores.tolist()], scores, None, numbers)

    def _tensors(self, model: Model, ports: Ports, windows: Windows) -> dict[str, Array]:
        values = windows.features if self._manifest.features else windows.values
        wanted = model.inputs[ports.input]
        if self._manifest.features and wanted.shape[1] not in {None, values.shape[1]}:
            given = ", ".join(windows.feature_names)
            raise ValueError(
                f"the model takes {wanted.shape[1]} features, features.sql gives"
                f" {values.shape[1]}: {given}"
            )
        there = np.isfinite(values)
        tensors = {ports.input: self._laid_out(np.where(there, values, 0), wanted.dtype)}
        if ports.mask:
            tensors[ports.mask] = self._laid_out(there, model.inputs[ports.mask].dtype)
        return tensors

    def _laid_out(self, values: Array, dtype: str) -> Array:
        layout = self._manifest.model.layout
        if values.ndim == 3:
            flat = layout == "flat"
            values = values.reshape(len(values), -1) if flat else values.transpose(_LAYOUTS[layout])
        return np.ascontiguousarray(values, dtype)

    def _run(self, model: Model, tensors: dict[str, Array]) -> dict[str, Array]:
        count = len(next(iter(tensors.values())))
        if self._ports is None or not self._ports.one_by_one:
            return model(tensors)
        rows = [model({k: v[i : i + 1] for k, v in tensors.items()}) for i in range(count)]
        return {name: np.concatenate([np.atleast_1d(r[name]) for r in rows]) for name in rows[0]}

    def _classes(self, output: Array, count: int) -> tuple[list[int], NDArray[Any]]:
        labels = len(self._manifest.outcome.labels)
        if output.size != count * labels:
            name = self._manifest.model.outputs.label
            raise ValueError(f"output {name!r} is {output.shape}, not {count} x {labels} labels")
        table = output.reshape(count, labels)
        return cast("list[int]", table.argmax(axis=1).tolist()), table.max(axis=1)

    def _label(self, score: float) -> str:
        threshold = self._manifest.threshold
        if threshold is None:  # refused by load_manifest
            raise ValueError("no threshold.labels")
        return threshold.label(score)


def _column(outputs: dict[str, Array], name: str, count: int) -> NDArray[Any]:
    output = outputs[name]
    if output.size != count:
        raise ValueError(f"output {name!r} is {output.shape}, not one value for each of {count}")
    return output.reshape(count)


def _results(
    labels: list[str],
    scores: NDArray[Any],
    confidence: NDArray[Any] | None,
    numbers: dict[str, NDArray[Any]],
) -> list[Result]:
    known = np.isfinite(scores).tolist()
    rows: list[float] = np.where(np.isfinite(scores), scores, 0.0).tolist()
    sure = (
        [None] * len(labels)
        if confidence is None
        else np.clip(np.nan_to_num(confidence), 0, 1).tolist()
    )
    columns = [column.tolist() for column in numbers.values()]
    found = [
        {k: c[i] for k, c in zip(numbers, columns, strict=True) if math.isfinite(c[i])}
        for i in range(len(labels))
    ]
    return [
        Result(label, score, c, n, suppress=not ok)
        for label, score, c, n, ok in zip(labels, rows, sure, found, known, strict=True)
    ]
