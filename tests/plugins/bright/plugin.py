"""Brightness of pictures: what plugin.py gets of frames, told as numbers."""

from gateway.inference import Manifest, Model
from gateway.inference.vision.fitted import Fitted
from gateway.model import Result, Seen


class Plugin:
    """Gives the value of the pixel in the middle."""

    def __init__(self, model: Model, manifest: Manifest) -> None:
        self.limit = 100.0

    def evaluate(self, batch: Fitted, states: list[bytes | None]) -> list[Result]:
        """Return a result for each frame, the number of calls before as its state."""
        results = []
        rows = zip(batch.images, batch.sizes, batch.places, states, strict=True)
        for image, size, places, state in rows:
            mean = float(image[8, 16].mean())
            before = int(state or b"0")
            results.append(
                Result(
                    "light" if mean > self.limit else "dark",
                    mean,
                    numbers={
                        "width": size[0],
                        "corner": float(image[0, 0, 0]),
                        "before": before,
                        "x": places.get("spot", ((0.0, 0.0),))[0][0],
                    },
                    state=str(before + 1).encode(),
                    seen=(Seen((0.0, 0.0, 1.0, 1.0), "room", 0.5),),
                )
            )
        return results
