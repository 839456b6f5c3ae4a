"""A model that looks at pictures: pixels in, its outputs out."""

from collections.abc import Iterator

import numpy as np

from gateway.errors import PluginError
from gateway.inference.frame_sections import FrameSection
from gateway.inference.manifest import Manifest
from gateway.inference.models import Array, Model
from gateway.inference.vision.entry import Entry, find_entry, refusal
from gateway.inference.vision.fitted import Pixels
from gateway.inference.vision.heads.detections import Shapes, Size
from gateway.inference.vision.tensor import Tensors

_GREY = 114


class Eye:
    """Pictures into a model's outputs, in one call or one by one, as the model can.

    Args:
        model: The loaded model.
        manifest: The plugin's.

    Attributes:
        size: Width and height of the pictures that the model takes.
        shapes: Of the outputs for one picture, by name.

    Raises:
        PluginError: The model does not take pictures as the manifest says, or does not run.
    """

    def __init__(self, model: Model | None, manifest: Manifest) -> None:
        if model is None:
            raise refusal(manifest, "model.runtime", '"none" sees nothing; give a model')
        self._model = model
        self._entry: Entry = find_entry(model, manifest)
        self._tensors = Tensors(manifest.frame or FrameSection(), self._entry.dtype)
        self.size: Size = self._entry.size
        self.shapes: Shapes = self._tried(manifest)
        self._one = self._entry.one or not self._takes_two()

    def look(self, images: Pixels) -> Iterator[dict[str, Array]]:
        """Give the outputs of the pictures, in order: of all at once, or of one after another.

        Each is good until the next is asked for.

        Args:
            images: uint8 [B, height, width, 3], BGR, in the model's size.
        """
        step = 1 if self._one else len(images)
        for start in range(0, len(images), step or 1):
            yield self._run(images[start : start + step])

    def _run(self, images: Pixels) -> dict[str, Array]:
        tensors: dict[str, Array] = {self._entry.name: self._tensors(images)}
        if name := self._entry.size_name:
            dtype = self._model.inputs[name].dtype
            tensors[name] = np.array([self.size] * len(images), dtype)
        outputs = self._model(tensors)
        return {
            name: output.astype(np.float32) if output.dtype in _OTHER_FLOATS else output
            for name, output in outputs.items()
        }

    def _tried(self, manifest: Manifest) -> Shapes:
        """Run the model once: what its outputs are like is known then, whatever its file says."""
        try:
            outputs = self._run(_blank(1, self.size))
        except PluginError:
            raise
        except MemoryError:
            raise
        except Exception as exc:  # a runtime's own errors share no class
            size = f"{self.size[0]} x {self.size[1]} px"
            reason = f"the model does not run on a picture of {size}: {' '.join(str(exc).split())}"
            raise refusal(manifest, "model.file", reason[:500]) from exc
        return {name: output.shape for name, output in outputs.items()}

    def _takes_two(self) -> bool:
        """Say whether a model that takes any number of pictures gives as many answers."""
        try:
            outputs = self._run(_blank(2, self.size))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - a runtime's own errors share no class
            return False
        wanted = {name: (2, *shape[1:]) for name, shape in self.shapes.items()}
        return all(wanted[name] == output.shape for name, output in outputs.items())


_OTHER_FLOATS = (np.float16, np.float64)


def _blank(count: int, size: Size) -> Pixels:
    return np.full((count, size[1], size[0], 3), _GREY, np.uint8)
