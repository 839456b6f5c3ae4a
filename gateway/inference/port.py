"""Where the pipeline meets a plugin: ``ModelRunner``, and how a plugin is."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.errors import MessageError
from gateway.inference.manifest import Manifest
from gateway.model import Frames, Result, Windows


class PoisonedError(MessageError):
    """The plugin failed several times in a row on the same batch; skip it."""

    code = "poisoned"


class State(StrEnum):
    """How a plugin is."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"  # it runs, and its last call failed
    BACKING_OFF = "backing_off"
    SET_ASIDE = "set_aside"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """How a plugin is, for people and for metrics.

    Attributes:
        state: Healthy only if it answered its golden input.
        reason: Why it is not healthy, or why it last was not, in plain words.
        restarts: Times that it was started anew.
        calls: Batches answered.
        latency_p50_ms, latency_p95_ms: Of the last 256 batches, or None before the first.
        rss_bytes: Resident memory of its process.
        golden_ok_ns: When it last answered all its golden inputs, or None.
        log: The last lines that it printed.
    """

    state: State
    reason: str
    restarts: int
    calls: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    rss_bytes: int
    golden_ok_ns: int | None
    log: tuple[str, ...]


class ModelRunner(Protocol):
    """What evaluates a plugin's windows or frames."""

    @property
    def manifest(self) -> Manifest:
        """Return the plugin's manifest."""
        ...

    @property
    def health(self) -> Health:
        """Return how the plugin is now."""
        ...

    async def start(self) -> None:
        """Load the plugin and wait until it is healthy."""
        ...

    async def evaluate(self, batch: Windows | Frames, states: list[bytes | None]) -> list[Result]:
        """Return a result for each window or frame."""
        ...

    async def stop(self) -> None:
        """End the plugin's process."""
        ...
