"""What is the same for every plugin at work: where it stands, its packets, its trouble."""

import asyncio
import logging
from dataclasses import replace

from gateway.errors import MessageError
from gateway.features import Mark
from gateway.inference.manifest import Manifest
from gateway.inference.port import ModelRunner
from gateway.model import Outcome, OutcomeContext, Packet, Result
from gateway.outcomes.packet import encode
from gateway.telling import Surroundings, Telling

log = logging.getLogger(__name__)

Quantities = tuple[tuple[str, str], ...]


class Work:
    """One plugin at work: where it stands with each source, and what it tells.

    Args:
        manifest: The plugin's.
        runner: Its process.
        around: What it shares with the others.

    Attributes:
        evaluated: Windows or frames for which there is a result.
        skipped: Those that the plugin failed on whatever was tried.
        trouble: What is wrong now; "" for nothing.
        telling: Its way to the leaf.
        is_evaluating: Something is at the plugin right now.
        gate: Clear while nothing new may be evaluated.
    """

    def __init__(self, manifest: Manifest, runner: ModelRunner, around: Surroundings) -> None:
        self.manifest = manifest
        self.runner = runner
        self.evaluated = 0
        self.skipped = 0
        self.trouble = ""
        self.telling = Telling(manifest.name, around)
        self._around = around
        self.is_evaluating = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._marks: dict[str, Mark] = {}  # how far it has evaluated
        self.read_marks()
        self._forgotten: set[str] = set()

    def read_marks(self) -> None:
        """Go on from where the store says that it stands."""
        self._marks = dict(self._around.store.marks(self.manifest.name))

    def forget(self, sources: set[str] | None) -> int:
        """Let the plugin begin anew with some sources, or with all; return with how many."""
        chosen = set(self._marks) - {""} if sources is None else sources & set(self._marks)
        self._forgotten |= chosen
        return len(chosen)

    def _states(self, sources: list[str]) -> list[bytes | None]:
        """Return what the plugin gave back with each source's last result."""
        marks = [None if s in self._forgotten else self._marks.get(s) for s in sources]
        return [mark.state if mark else None for mark in marks]

    def _note_evaluated(self, sources: list[str]) -> None:
        self._forgotten -= set(sources)
        self.evaluated += len(sources)
        self.trouble = ""

    def _reach(self, source: str, mark: Mark) -> None:
        """Move a source's mark, behind what was told before."""
        self._marks[source] = mark
        self.telling.reach(source, mark)

    def _skip(self, source: str, end_ns: int, exc: MessageError) -> None:
        """Give a window or frame up: it is counted, and the source goes on behind it."""
        self.skipped += 1
        self._complain(f"{source} skipped once: {exc}")
        self._reach(source, replace(self._marks.get(source) or Mark(0), end_ns=end_ns))

    def _packet(
        self,
        source: str,
        result: Result,
        quantities: Quantities,
        span_ns: tuple[int, int],
        received_ns: int,
    ) -> Packet | None:
        """Return the packet of a result; one that cannot be is counted, and told as trouble."""
        outcome = Outcome(
            gateway=self._around.site.gateway,
            source=source,
            context=self._context(source),
            plugin=self.manifest.identity,
            quantities=quantities,
            start_ns=span_ns[0],
            end_ns=span_ns[1],
            result=result,
            received_ns=received_ns,
            clock=self._around.clock.standing,
            rank=self.manifest.outcome.rank,
        )
        try:
            return encode(outcome)
        except MessageError as exc:
            self._around.ledger.outcomes_refused += 1
            self._complain(f"outcome of {source} refused: {exc}")
            return None

    def _context(self, source: str) -> OutcomeContext:
        context, asset = self.manifest.context, self._around.site.asset_classes.get(source)
        if not asset:
            return context
        return OutcomeContext(context.domain, asset, context.kind, context.regime)

    def _complain(self, trouble: str) -> None:
        self.trouble = trouble
        log.error("plugin %s: %s", self.manifest.name, trouble)
