"""One camera of a plugin that judges the whole picture: its class, or how usual it is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import PluginError
from gateway.inference.frame_sections import ClassifySection, EmbedSection
from gateway.inference.manifest import MANIFEST, Manifest
from gateway.inference.sections import ThresholdSection
from gateway.inference.vision.steady import Steady
from gateway.inference.vision.views import Told, View
from gateway.model import Points

Vector = NDArray[np.float32]


class ClassScene:
    """What one camera's picture is taken for.

    Args:
        spec: The plugin's ``[classify]``.
    """

    def __init__(self, spec: ClassifySection) -> None:
        self._min_score = spec.min_score
        self._label: Steady[str] = Steady(round(spec.hold_s * 1e9))
        self._score = 0.0

    def see(self, found: tuple[str, float], time_ns: int, places: dict[str, Points]) -> View:
        """Take a frame's class and its probability; below ``min_score`` it says nothing."""
        label, score = found
        told = self._label.update(label, time_ns) if score >= self._min_score else self._label.value
        if label == told:
            self._score = score
        if told is None:
            return View(label, score, score, known=False)
        return View(told, self._score, self._score)

    def reported(self) -> None:
        """Nothing is summed."""

    def kept(self) -> dict[str, Any]:
        """Return nothing: what was told says all."""
        return {}

    def restore(self, kept: dict[str, Any], told: Told | None) -> None:
        """Go on with the label that was told."""
        if told:
            self._label.value = told.label


class VectorScene:
    """How far one camera's picture is from the usual one.

    Args:
        spec: The plugin's ``[embed]``.
        threshold: The plugin's.
        reference: float32 [D], the usual picture's vector; None: it is learnt.
    """

    def __init__(
        self, spec: EmbedSection, threshold: ThresholdSection, reference: Vector | None
    ) -> None:
        self._spec = spec
        self._threshold = threshold
        self._reference = reference
        self._sum: Vector | None = None
        self._learnt = 0

    def see(self, found: Vector, time_ns: int, places: dict[str, Points]) -> View:
        """Take a frame's vector, float32 [D]."""
        vector = _unit(found)
        if self._reference is None and self._learnt < self._spec.learn_frames:
            self._sum = vector if self._sum is None else self._sum + vector
            self._learnt += 1
            return View(self._threshold.label(0.0), 0.0, learning=True)
        usual = self._sum if self._reference is None else self._reference
        score = 1.0 if usual is None else float(1 - vector @ _unit(usual))
        return View(self._threshold.label(score), score)

    def reported(self) -> None:
        """Nothing is summed."""

    def kept(self) -> dict[str, Any]:
        """Return what has been learnt."""
        if self._sum is None:
            return {}
        return {"sum": self._sum.astype("<f4").tobytes(), "learnt": self._learnt}

    def restore(self, kept: dict[str, Any], told: Told | None) -> None:
        """Go on with what had been learnt.

        Raises:
            ValueError, TypeError, KeyError: It is something else.
        """
        if kept and self._reference is None:
            self._sum = np.frombuffer(kept["sum"], "<f4").astype(np.float32)
            self._learnt = int(kept["learnt"])


def read_reference(manifest: Manifest, spec: EmbedSection, length: int) -> Vector | None:
    """Return the plugin's own reference; None where it is to be learnt.

    Args:
        manifest: The plugin's.
        spec: Its ``[embed]``.
        length: Of the model's vectors.

    Raises:
        PluginError: It is not one vector of that length, in a ``.npy`` inside the folder.
    """
    if not spec.reference:
        return None
    file = manifest.folder / spec.reference
    wrong = ""
    vector = np.empty(0, np.float32)
    if not file.resolve().is_relative_to(manifest.folder.resolve()):
        wrong = "is a link out of the folder"
    else:
        try:
            vector = np.asarray(np.load(file, allow_pickle=False), np.float32).reshape(-1)
        except (OSError, ValueError, TypeError) as exc:
            wrong = f"is not readable: {exc}"
    if not wrong and len(vector) != length:
        wrong = f"has {len(vector)} numbers, the model gives {length}"
    if not wrong and not (np.isfinite(vector).all() and vector.any()):
        wrong = "must be finite, and not all 0"
    if wrong:
        where = str(manifest.folder / MANIFEST)
        raise PluginError(where, "embed.reference", f"{spec.reference} {wrong}")
    return vector


def _unit(vector: Vector) -> Vector:
    finite = np.nan_to_num(vector, nan=0.0, posinf=0.0, neginf=0.0)
    length = float(np.linalg.norm(finite))
    return finite / np.float32(length) if length else finite
