"""Has a fault in its Python."""

from gateway.inference import Manifest, Model
from gateway.model import Result, Windows


class Plugin:
    """Raises on poison."""

    def __init__(self, model: Model | None, manifest: Manifest) -> None:
        self.name = manifest.name

    def evaluate(self, windows: Windows, states: list[bytes | None]) -> list[Result]:
        """Return the spread as the score."""
        if "poison" in windows.sources:
            raise ValueError("poison does not agree with me")
        return [Result("normal", row[0]) for row in windows.features.tolist()]
