"""One plugin at work: its windows become results, and what is to be told is handed to the leaf.

Two loops, so that the next windows are evaluated while the last outcomes are on their way to the
disk: what has gathered meanwhile goes with the next put. A watermark moves only after the leaf
has acknowledged what was reported up to there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.errors import MessageError, OutboxError, WorkerError
from gateway.features import FeatureService, Mark, QueryError, SentOutcome
from gateway.inference.manifest import Manifest
from gateway.inference.port import ModelRunner, PoisonedError
from gateway.inference.report import Reported, judge
from gateway.latency import Latencies
from gateway.ledger import Ledger
from gateway.model import Channel, Outcome, OutcomeContext, Packet, Result, Windows
from gateway.outcomes.outbox import Outbox
from gateway.outcomes.packet import encode

log = logging.getLogger(__name__)

BATCH_WINDOWS = 256
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
    """

    site: Site
    store: FeatureService
    outbox: Outbox
    panel: Callable[[str, bytes], None]
    ledger: Ledger
    latencies: Latencies


class Evaluation:
    """Evaluates the windows of one plugin until it is cancelled.

    Args:
        manifest: The plugin's.
        runner: Its process.
        around: What it shares with the others.

    Attributes:
        wake: Set when windows may be due.
        evaluated: Windows for which there is a result.
        skipped: Windows that the plugin failed on whatever was tried.
        trouble: What is wrong now; "" for nothing.
    """

    def __init__(self, manifest: Manifest, runner: ModelRunner, around: Surroundings) -> None:
        self.manifest = manifest
        self.runner = runner
        self.wake = asyncio.Event()
        self.evaluated = 0
        self.skipped = 0
        self.trouble = ""
        self._around = around
        self._name = manifest.name
        self._marks = dict(around.store.marks(manifest.name))  # how far it has evaluated
        self._settled: dict[str, Mark] = {}  # how far it has told, not yet written
        self._forgotten: set[str] = set()
        self._untold: list[tuple[Packet, Result]] = []
        self._reached: dict[str, Mark] = {}
        self._pending = asyncio.Event()
        self._unwritten: list[SentOutcome] = []
        self._evaluating = False
        self._telling = False

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is due, evaluated or told right now."""
        at_work = self._evaluating or self._telling or self._reached
        return not (at_work or self._around.store.due(self._name))

    async def run(self) -> None:
        """Evaluate and tell until cancelled."""
        self.wake.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._evaluate_forever())
            group.create_task(self._tell_forever())

    def forget(self, sources: set[str] | None) -> int:
        """Let the plugin begin anew with some sources, or with all; return with how many."""
        chosen = set(self._marks) - {""} if sources is None else sources & set(self._marks)
        self._forgotten |= chosen
        return len(chosen)

    def settled(self) -> tuple[dict[str, Mark], list[SentOutcome]]:
        """Return what the store is to write: marks told of, and the outcomes they stand for."""
        return dict(self._settled), list(self._unwritten)

    def written(self, marks: dict[str, Mark], sent: list[SentOutcome]) -> None:
        """Forget what the store has written."""
        del self._unwritten[: len(sent)]
        for source, mark in marks.items():
            if self._settled.get(source) is mark:
                del self._settled[source]

    async def _evaluate_forever(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self._around.store.due(self._name):
                while len(self._untold) >= _MOST_UNTOLD:  # noqa: ASYNC110 - only when the leaf is away
                    await asyncio.sleep(0.05)
                await self._evaluate_safely()

    async def _evaluate_safely(self) -> None:
        self._evaluating = True
        try:
            await self._evaluate()
        except QueryError as exc:
            self._complain(f"features.sql: {exc}")
        except Exception:
            # This plugin must go on whatever it met. The windows come again after a restart.
            self.trouble = "internal error, see the log"
            log.exception("plugin %s", self._name)
            await asyncio.sleep(1.0)
        finally:
            self._evaluating = False

    async def _evaluate(self) -> None:
        latencies = self._around.latencies
        began = time.perf_counter()
        windows = await self._around.store.take(self._name, BATCH_WINDOWS)
        if windows is None:
            return
        taken = time.perf_counter()
        latencies.observe("window", taken - began)
        results = await self._infer(windows)
        latencies.observe("infer", time.perf_counter() - taken)
        if results is None:
            return
        self.evaluated += len(windows)
        self.trouble = ""
        for i, result in enumerate(results):
            self._judge(windows, i, result)
        self._pending.set()

    async def _infer(self, windows: Windows) -> list[Result] | None:
        """Return the results; None when the plugin fails on these windows whatever is tried."""
        states = [self._state(source) for source in windows.sources]
        self._forgotten -= set(windows.sources)
        while True:
            try:
                return await self.runner.evaluate(windows, states)
            except WorkerError as exc:
                self.trouble = str(exc)
                await asyncio.sleep(exc.retry_after_s)
            except PoisonedError as exc:
                self.skipped += len(windows)
                self._complain(f"{len(windows)} windows skipped: {exc}")
                return None

    def _state(self, source: str) -> bytes | None:
        mark = self._marks.get(source)
        return mark.state if mark and source not in self._forgotten else None

    def _judge(self, windows: Windows, i: int, result: Result) -> None:
        """Decide whether a result is told, and move the plugin's own mark."""
        source, end_ns = windows.sources[i], int(windows.end_ns[i])
        mark = self._marks.get(source) or Mark(0)
        last = Reported(mark.label, mark.reported_ns) if mark.reported_ns else None
        report, last = judge(self.manifest.report, last, result, end_ns)
        if report and (packet := self._packet(windows, i, result)):
            self._untold.append((packet, result))
        state = mark.state if result.state is None else result.state
        label, reported_ns = last or ("", 0)
        self._marks[source] = self._reached[source] = Mark(end_ns, label, reported_ns, state)

    def _packet(self, windows: Windows, i: int, result: Result) -> Packet | None:
        source = windows.sources[i]
        outcome = Outcome(
            gateway=self._around.site.gateway,
            source=source,
            context=self._context(source),
            plugin=self.manifest.identity,
            quantities=_quantities(windows.channels[i]),
            start_ns=int(windows.start_ns[i]),
            end_ns=int(windows.end_ns[i]),
            result=result,
            received_ns=int(windows.received_ns[i]),
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

    async def _tell_forever(self) -> None:
        while True:
            await self._pending.wait()
            self._pending.clear()
            told, self._untold = self._untold, []
            reached, self._reached = self._reached, {}
            self._telling = True
            if told:
                await self._put(told)
            self._settled.update(reached)
            self._telling = False

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
        around.latencies.observe("publish", time.perf_counter() - began)
        now_ns = time.time_ns()
        for (packet, result), put in zip(told, stored, strict=True):
            if put.duplicate:
                around.ledger.outcomes_repeated += 1
            else:
                around.ledger.outcomes += 1
                around.latencies.observe("total", (now_ns - packet.received_ns) / 1e9)
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
                plugin=self._name,
                end_ns=packet.end_ns,
                label=result.label,
                score=result.score,
                packet=packet.payload.decode(),
                received_ns=packet.received_ns,
            )
        )

    def _complain(self, trouble: str) -> None:
        self.trouble = trouble
        log.error("plugin %s: %s", self._name, trouble)


def _quantities(channels: tuple[Channel, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((channel.metric, channel.unit or "") for channel in channels)
