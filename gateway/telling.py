"""What a plugin found, handed to the leaf; then, and only then, its watermark may move."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.clock import BoxClock
from gateway.errors import OutboxError
from gateway.features import FeatureService, Mark, SentOutcome
from gateway.latency import Latencies
from gateway.ledger import Ledger
from gateway.model import Packet, Result
from gateway.outcomes.outbox import Outbox

_MOST_UNTOLD = 2000
_MOST_UNWRITTEN = 50_000


@dataclass(frozen=True, slots=True)
class Site:
    """What of the configuration goes into outcomes.

    Attributes:
        gateway: The gateway's name.
        asset_classes: Asset name to its class, where the configuration states one.
    """

    gateway: str
    asset_classes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all plugins share.

    Attributes:
        panel: Publishes a copy of an outcome on the device broker.
        clock: The box's.
    """

    site: Site
    store: FeatureService
    outbox: Outbox
    panel: Callable[[str, bytes], None]
    ledger: Ledger
    latencies: Latencies
    clock: BoxClock = field(default_factory=BoxClock)


class Telling:
    """Hands one plugin's outcomes to the leaf, in order, while the next windows are evaluated.

    Args:
        plugin: Its name.
        around: What all plugins share.

    Attributes:
        trouble: Why outcomes wait; "" for no reason.
    """

    def __init__(self, plugin: str, around: Surroundings) -> None:
        self.trouble = ""
        self._plugin = plugin
        self._around = around
        self._untold: list[tuple[Packet, Result]] = []
        self._reached: dict[str, Mark] = {}
        self._settled: dict[str, Mark] = {}
        self._unwritten: list[SentOutcome] = []
        self._pending = asyncio.Event()
        self._busy = False

    @property
    def is_idle(self) -> bool:
        """Say whether everything is told."""
        return not (self._busy or self._reached)

    @property
    def is_full(self) -> bool:
        """Say whether so much waits that no more should be evaluated: the leaf is away."""
        return len(self._untold) >= _MOST_UNTOLD

    def tell(self, packet: Packet, result: Result) -> None:
        """Have an outcome told; `reach` must follow."""
        self._untold.append((packet, result))

    def reach(self, source: str, mark: Mark) -> None:
        """Have a source's mark settled once what was to be told before is told."""
        self._reached[source] = mark
        self._pending.set()

    def settled(self) -> tuple[dict[str, Mark], list[SentOutcome]]:
        """Return what the store is to write: marks told of, and the outcomes they stand for."""
        return dict(self._settled), list(self._unwritten)

    def written(self, marks: dict[str, Mark], sent: list[SentOutcome]) -> None:
        """Forget what the store has written."""
        del self._unwritten[: len(sent)]
        for source, mark in marks.items():
            if self._settled.get(source) is mark:
                del self._settled[source]

    async def run(self) -> None:
        """Tell until cancelled. What has gathered meanwhile goes with the next put."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            told, self._untold = self._untold, []
            reached, self._reached = self._reached, {}
            self._busy = True
            try:
                if told:
                    await self._put(told)
            except asyncio.CancelledError:  # run again, it puts the same ones: the leaf knows them
                self._untold[:0] = told
                self._reached = reached | self._reached
                self._busy = False
                self._pending.set()
                raise
            self._settled.update(reached)
            self._busy = False

    async def _put(self, told: Sequence[tuple[Packet, Result]]) -> None:
        around, began = self._around, time.perf_counter()
        packets = [packet for packet, _ in told]
        while True:
            try:
                stored = await around.outbox.put(packets)
            except OutboxError as exc:
                self.trouble = f"outcomes wait: {exc}"
                await asyncio.sleep(exc.retry_after_s)
                continue
            break
        self.trouble = ""
        around.latencies.observe("publish", time.perf_counter() - began)
        now_ns = around.clock.now_ns()
        for (packet, result), put in zip(told, stored, strict=True):
            if put.duplicate:
                around.ledger.outcomes_repeated += 1
            else:
                around.ledger.outcomes += 1
                around.latencies.observe("total", max(0, now_ns - packet.received_ns) / 1e9)
            around.panel(packet.subject.replace(".", "/"), packet.payload)
            self._note_sent(packet, result, now_ns)

    def _note_sent(self, packet: Packet, result: Result, now_ns: int) -> None:
        if len(self._unwritten) >= _MOST_UNWRITTEN:  # the store has been away for long
            return
        self._unwritten.append(
            SentOutcome(
                id=packet.id,
                time_ns=now_ns,
                source=packet.source,
                plugin=self._plugin,
                end_ns=packet.end_ns,
                label=result.label,
                score=result.score,
                packet=packet.payload.decode(),
                received_ns=packet.received_ns,
            )
        )
