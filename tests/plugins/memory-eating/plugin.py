"""Takes more memory than it may."""

import time

from gateway.inference import Manifest, Model
from gateway.model import Result, Windows


class Plugin:
    """Eats at once on greedy, bit by bit on slow."""

    def __init__(self, model: Model | None, manifest: Manifest) -> None:
        self.name = manifest.name

    def evaluate(self, windows: Windows, states: list[bytes | None]) -> list[Result]:
        """Return the spread as the score."""
        kept = []
        while "greedy" in windows.sources:
            kept.append(bytearray(64_000_000))
        while "slow" in windows.sources:
            kept.append(bytearray(4_000_000))
            time.sleep(0.05)
        return [Result("normal", row[0]) for row in windows.features.tolist()]
