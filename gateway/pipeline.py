"""The one place where the stages meet, in order, and where the acknowledgement is given.

messages -> decode -> store (one transaction) -> acknowledge -> windows -> infer -> leaf -> mark

A message is acknowledged to the broker only after its readings are committed. A plugin's
watermark moves only after the leaf has acknowledged what was reported, so whatever crashes, the
same windows are evaluated again and their outcomes have the same ids.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.deadletters import Unreadable
from gateway.errors import (
    DecodeError,
    MessageError,
    OutboxError,
    StoreError,
    UnclaimedError,
    WorkerError,
)
from gateway.features import DeadLetter, FeatureService, Item, Mark, QueryError, SentOutcome
from gateway.inference.manifest import Manifest
from gateway.inference.port import ModelRunner, PoisonedError
from gateway.inference.report import Reported, judge
from gateway.ingest import Inbox
from gateway.latency import Latencies
from gateway.ledger import Ledger
from gateway.model import (
    Channel,
    Decoded,
    Outcome,
    OutcomeContext,
    Packet,
    RawMessage,
    Result,
    Windows,
)
from gateway.outcomes.outbox import Outbox
from gateway.outcomes.packet import encode

log = logging.getLogger(__name__)

BATCH_MESSAGES = 2000
BATCH_WINDOWS = 256
FLUSH_S = 1.0
SWEEP_S = 60.0
_MOST_UNSENT = 50_000


class Decoder(Protocol):
    """What the profiles do."""

    def decode(self, message: RawMessage) -> Decoded:
        """Return what a message says; raises `MessageError`."""
        ...


@dataclass(slots=True)
class ActivePlugin:
    """A plugin at work.

    Attributes:
        marks: Where it stands with each source, newer than the store's.
        dirty: Sources whose mark has moved since the store wrote it.
        busy: Windows are being evaluated.
        skipped: Windows that it could not evaluate.
    """

    manifest: Manifest
    runner: ModelRunner
    marks: dict[str, Mark]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    dirty: set[str] = field(default_factory=set)
    busy: bool = False
    evaluated: int = 0
    skipped: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """What of the configuration goes into outcomes.

    Attributes:
        gateway: The gateway's name.
        asset_classes: Asset name to its class, where the configuration states one.
    """

    gateway: str
    asset_classes: dict[str, str] = field(default_factory=dict)


class Pipeline:
    """Moves messages to outcomes until it is cancelled.

    Args:
        site: Who we are.
        inbox: What came in.
        acknowledge: Tells the broker that messages are dealt with.
        decoder: The firmware profiles.
        store: The feature store, open.
        outbox: The way to the leaf.
        panel: Publishes a copy of an outcome on the device broker.
        ledger, latencies: What is counted.
        tick_s: Shortest time between two batches.
    """

    def __init__(
        self,
        site: Site,
        *,
        inbox: Inbox,
        acknowledge: Callable[[Sequence[RawMessage]], None],
        decoder: Decoder,
        store: FeatureService,
        outbox: Outbox,
        panel: Callable[[str, bytes], None],
        ledger: Ledger,
        latencies: Latencies,
        tick_s: float,
    ) -> None:
        self._site = site
        self._inbox = inbox
        self._acknowledge = acknowledge
        self.decoder = decoder
        self._store = store
        self._outbox = outbox
        self._panel = panel
        self._ledger = ledger
        self._latencies = latencies
        self._tick_s = tick_s
        self.unreadable = Unreadable()
        self.plugins: dict[str, ActivePlugin] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._sent: list[SentOutcome] = []

    async def run(self) -> None:
        """Run until cancelled; then what is in hand is finished first, within limits."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ingest(), name="ingest")
            group.create_task(self._flush_forever(), name="flush")
            group.create_task(self._sweep_forever(), name="sweep")

    async def drain(self, limit_s: float) -> None:
        """Evaluate what is due, then write what is known; for an ordered stop.

        Args:
            limit_s: What is not evaluated by then is evaluated after the next start.
        """
        until = time.monotonic() + limit_s
        while time.monotonic() < until and self._work_left():  # noqa: ASYNC110 - only at a stop
            await asyncio.sleep(0.02)
        for name in list(self.plugins):
            await self.remove_plugin(name)
        await self._flush()

    def _work_left(self) -> bool:
        return any(plugin.busy or self._store.due(name) for name, plugin in self.plugins.items())

    async def add_plugin(self, manifest: Manifest, runner: ModelRunner) -> None:
        """Begin to evaluate a plugin's windows from where it stood; replaces one of its name."""
        await self.remove_plugin(manifest.name)
        await self._store.add_plugin(manifest.name, manifest.window_spec)
        plugin = ActivePlugin(manifest, runner, dict(self._store.marks(manifest.name)))
        self.plugins[manifest.name] = plugin
        self._loops[manifest.name] = asyncio.create_task(
            self._evaluate(plugin), name=f"plugin {manifest.name}"
        )
        plugin.wake.set()

    async def remove_plugin(self, name: str) -> None:
        """Evaluate no more windows for a plugin. Where it stands is kept."""
        loop = self._loops.pop(name, None)
        if loop is None:
            return
        loop.cancel()
        await asyncio.wait([loop])
        await self._flush()
        del self.plugins[name]
        self._store.remove_plugin(name)

    async def _ingest(self) -> None:
        while True:
            messages = await self._inbox.take(BATCH_MESSAGES)
            began = time.perf_counter()
            items, dead = self._decode(messages)
            self._latencies.observe("decode", time.perf_counter() - began)
            await self._commit(messages, items, dead)
            await asyncio.sleep(max(0.0, self._tick_s - (time.perf_counter() - began)))

    def _decode(self, messages: Sequence[RawMessage]) -> tuple[list[Item], list[DeadLetter]]:
        items: list[Item] = []
        dead: list[DeadLetter] = []
        decode = self.decoder.decode
        for message in messages:
            try:
                items.append((message, decode(message)))
            except MessageError as exc:
                letter = self._refuse(message, exc)
                if letter:
                    dead.append(letter)
        return items, dead

    def _refuse(self, message: RawMessage, exc: MessageError) -> DeadLetter | None:
        """Count a message that cannot be decoded; return its sample unless there are many."""
        reason = exc.reason if isinstance(exc, DecodeError) else exc.code
        self._ledger.dead_letters[reason] += 1
        if isinstance(exc, UnclaimedError):
            self.unreadable.note_unclaimed(message)
        profile = exc.profile if isinstance(exc, DecodeError) else ""
        return self.unreadable.sample(message, reason, str(exc), profile)

    async def _commit(
        self, messages: Sequence[RawMessage], items: list[Item], dead: list[DeadLetter]
    ) -> None:
        """Store a batch, however often it takes, and acknowledge it."""
        while True:
            began = time.perf_counter()
            try:
                appended = await self._store.append(items, dead)
            except StoreError as exc:
                log.error("not stored, nothing is acknowledged: %s", exc)  # noqa: TRY400 - says it all
                await asyncio.sleep(exc.retry_after_s)
                continue
            break
        self._latencies.observe("store", time.perf_counter() - began)
        self._acknowledge(messages)
        duplicates = sum(appended.duplicate)
        self._ledger.duplicates += duplicates
        self._ledger.stored_messages += len(items) - duplicates
        self._ledger.readings += appended.readings
        self._ledger.duplicate_readings += appended.duplicate_readings
        for name, plugin in self.plugins.items():
            if self._store.due(name):
                plugin.wake.set()

    async def _evaluate(self, plugin: ActivePlugin) -> None:
        name = plugin.manifest.name
        while True:
            await plugin.wake.wait()
            plugin.wake.clear()
            while self._store.due(name):
                plugin.busy = True
                try:
                    await self._evaluate_batch(plugin)
                except QueryError as exc:
                    plugin.trouble = f"features.sql: {exc}"
                    log.error("plugin %s: %s", name, plugin.trouble)  # noqa: TRY400 - says it all
                except Exception:
                    # This plugin's loop must go on whatever it met; the windows stay unmarked.
                    plugin.trouble = "internal error, see the log"
                    log.exception("plugin %s", name)
                    await asyncio.sleep(1.0)
                finally:
                    plugin.busy = False

    async def _evaluate_batch(self, plugin: ActivePlugin) -> None:
        began = time.perf_counter()
        windows = await self._store.take(plugin.manifest.name, BATCH_WINDOWS)
        if windows is None:
            return
        taken = time.perf_counter()
        self._latencies.observe("window", taken - began)
        results = await self._infer(plugin, windows)
        self._latencies.observe("infer", time.perf_counter() - taken)
        plugin.evaluated += len(windows)
        if results is not None:
            await self._tell(plugin, windows, results)
            plugin.trouble = ""

    async def _infer(self, plugin: ActivePlugin, windows: Windows) -> list[Result] | None:
        """Return the results; None when the plugin fails on these windows whatever is tried."""
        states = [
            mark.state if (mark := plugin.marks.get(source)) else None for source in windows.sources
        ]
        while True:
            try:
                return await plugin.runner.evaluate(windows, states)
            except WorkerError as exc:
                plugin.trouble = str(exc)
                await asyncio.sleep(exc.retry_after_s)
            except PoisonedError as exc:
                plugin.trouble = str(exc)
                plugin.skipped += len(windows)
                log.error("%d windows skipped: %s", len(windows), exc)  # noqa: TRY400 - says it all
                return None

    async def _tell(
        self, plugin: ActivePlugin, windows: Windows, results: Sequence[Result]
    ) -> None:
        """Hand what is to be reported to the leaf; then, and only then, move the watermark."""
        marks: dict[str, Mark] = {}
        told: list[tuple[Packet, Result]] = []
        for i, (source, result) in enumerate(zip(windows.sources, results, strict=True)):
            mark = marks.get(source) or plugin.marks.get(source) or Mark(0)
            end_ns = int(windows.end_ns[i])
            last = Reported(mark.label, mark.reported_ns) if mark.reported_ns else None
            report, last = judge(plugin.manifest.report, last, result, end_ns)
            if report and (packet := self._packet(plugin, windows, i, result)):
                told.append((packet, result))
            state = mark.state if result.state is None else result.state
            label, reported_ns = last or ("", 0)
            marks[source] = Mark(end_ns, label, reported_ns, state)
        if told:
            await self._put(plugin, told)
        plugin.marks.update(marks)
        plugin.dirty.update(marks)

    def _packet(
        self, plugin: ActivePlugin, windows: Windows, i: int, result: Result
    ) -> Packet | None:
        source, manifest = windows.sources[i], plugin.manifest
        outcome = Outcome(
            gateway=self._site.gateway,
            source=source,
            context=self._context(manifest.context, source),
            plugin=manifest.identity,
            quantities=_quantities(windows.channels[i]),
            start_ns=int(windows.start_ns[i]),
            end_ns=int(windows.end_ns[i]),
            result=result,
            received_ns=int(windows.received_ns[i]),
        )
        try:
            return encode(outcome)
        except MessageError as exc:
            self._ledger.outcomes_refused += 1
            plugin.trouble = str(exc)
            log.error("outcome of %s refused: %s", source, exc)  # noqa: TRY400 - says it all
            return None

    def _context(self, context: OutcomeContext, source: str) -> OutcomeContext:
        asset = self._site.asset_classes.get(source)
        if not asset:
            return context
        return OutcomeContext(context.domain, asset, context.kind, context.regime)

    async def _put(self, plugin: ActivePlugin, told: list[tuple[Packet, Result]]) -> None:
        packets = [packet for packet, _ in told]
        began = time.perf_counter()
        while True:
            try:
                stored = await self._outbox.put(packets)
            except OutboxError as exc:
                plugin.trouble = f"outcomes wait: {exc}"
                await asyncio.sleep(exc.retry_after_s)
                continue
            break
        self._latencies.observe("publish", time.perf_counter() - began)
        now_ns = time.time_ns()
        for (packet, result), put in zip(told, stored, strict=True):
            if put.duplicate:
                self._ledger.outcomes_repeated += 1
            else:
                self._ledger.outcomes += 1
                self._latencies.observe("total", (now_ns - packet.received_ns) / 1e9)
            self._panel(packet.subject.replace(".", "/"), packet.payload)
            self._note_sent(plugin, packet, result, now_ns)

    def _note_sent(self, plugin: ActivePlugin, packet: Packet, result: Result, now_ns: int) -> None:
        if len(self._sent) >= _MOST_UNSENT:  # the store has been away for long
            return
        self._sent.append(
            SentOutcome(
                id=packet.id,
                time_ns=now_ns,
                source=packet.source,
                plugin=plugin.manifest.name,
                end_ns=packet.end_ns,
                label=result.label,
                score=result.score,
                packet=packet.payload.decode(),
                received_ns=packet.received_ns,
            )
        )

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        """Write the marks that have moved, and the outcomes they stand for."""
        moved = {
            name: {source: plugin.marks[source] for source in plugin.dirty}
            for name, plugin in self.plugins.items()
        }
        sent = self._sent[:]
        try:
            await self._store.write_marks(moved, sent)
        except StoreError as exc:
            log.error("watermarks not written, tried again: %s", exc)  # noqa: TRY400 - says it all
            return
        del self._sent[: len(sent)]
        for name, marks in moved.items():
            if plugin := self.plugins.get(name):
                plugin.dirty -= {s for s, mark in marks.items() if plugin.marks[s] is mark}

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._store.sweep()
            except StoreError as exc:
                log.error("%s", exc)  # noqa: TRY400 - says it all


def _quantities(channels: tuple[Channel, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((channel.metric, channel.unit or "") for channel in channels)
