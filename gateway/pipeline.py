"""The one place where the stages meet, in order, and where the acknowledgement is given.

messages -> decode -> store (one transaction) -> acknowledge -> windows -> infer -> leaf -> mark

A message is acknowledged to the broker only after its readings are committed. A plugin's
watermark moves only after the leaf has acknowledged what was reported, so whatever crashes, the
same windows are evaluated again and their outcomes have the same ids.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gateway.asking import Asking
from gateway.clock import Change
from gateway.config import DevicesSection
from gateway.deadletters import PARTLY, Heard, Unreadable
from gateway.devices import Guard, Surrounding, memory
from gateway.errors import DecodeError, MessageError, StoreError, UnclaimedError
from gateway.evaluation import Evaluation
from gateway.features import Appended, DeadLetter, Item, Refused
from gateway.inference.manifest import Manifest
from gateway.inference.port import ModelRunner
from gateway.ingest import Inbox
from gateway.ledger import Oldest
from gateway.model import Decoded, Flaw, RawMessage, Request
from gateway.notices import FAULT, NAME, Notice, Notices
from gateway.presence import Presence
from gateway.telling import Surroundings, Telling
from gateway.watching import Sights, Watching

log = logging.getLogger(__name__)

BATCH_MESSAGES = 2000
FLUSH_S = 1.0
_LONGEST_REST_S = 0.02
SWEEP_S = 60.0
_TELL_S = 3.0
_NO_ROOM = {
    "too_many_devices": "more devices than [devices] most allows",
    "too_many_series": "more metrics than [devices] most_series or most_series_each allow",
}


class Decoder(Protocol):
    """What the profiles do."""

    def decode(self, message: RawMessage) -> Decoded:
        """Return what a message says; raises `MessageError`."""
        ...

    def device_of(self, topic: str) -> str | None:
        """Return the device that a topic alone names, if it does."""
        ...


class Pipeline:
    """Moves messages to outcomes until it is cancelled.

    Args:
        inbox: What came in.
        acknowledge: Tells the broker that messages are dealt with.
        decoder: The firmware profiles.
        around: The store, the way to the leaf, and what is counted.
        sights: The cameras.
        tick_s: Shortest time between two batches.
        devices: How devices may behave.
        link: Returns which connection to the device broker this is, None while there is none.

    Attributes:
        notices: What the gateway itself has to say.
        guard: Keeps an eye on devices that are too loud or silent.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        acknowledge: Callable[[Sequence[RawMessage]], None],
        decoder: Decoder,
        around: Surroundings,
        sights: Sights,
        tick_s: float,
        devices: DevicesSection,
        link: Callable[[], int | None],
    ) -> None:
        self._inbox = inbox
        self._acknowledge = acknowledge
        self._decoder = decoder
        self._around = around
        self._sights = sights
        self._store = around.store
        self._ledger = around.ledger
        self._latencies = around.latencies
        self._tick_s = tick_s
        self._asking = Asking(around.panel)
        self.presence = Presence()
        self.notices = Notices(around)
        self.guard = Guard(
            Surrounding(
                gateway=around.site.gateway,
                policy=devices,
                store=around.store,
                inbox=inbox,
                presence=self.presence,
                notices=self.notices,
                link=link,
                cameras=sights.cameras.presence,
                device_of=decoder.device_of,
                path=around.store.path.with_name(memory.FILE),
                clock=around.clock,
            )
        )
        self.unreadable = Unreadable()
        self._crowded: list[DeadLetter] = []  # samples, written with the next batch
        self.plugins: dict[str, Evaluation | Watching] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._flushing = asyncio.Lock()
        self._ingesting = asyncio.Lock()
        self._changing = asyncio.Lock()  # which plugins there are
        self._clock = around.clock
        self._refused: set[str] = set()
        self._told_crowded: set[str] = set()

    async def run(self) -> None:
        """Run until cancelled; then what is in hand is finished first, within limits."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ingest(), name="ingest")
            group.create_task(self._flush_forever(), name="flush")
            group.create_task(self._sweep_forever(), name="sweep")
            group.create_task(self.notices.run(), name="notices")
            group.create_task(self.guard.run(), name="guard")

    @property
    def is_storing(self) -> bool:
        """Say whether what was to be stored last was stored, or nothing was to be."""
        return not self._refused

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
        at_work = any(not plugin.is_idle for plugin in self.plugins.values())
        return at_work or not self.notices.telling.is_idle

    def _tellings(self) -> dict[str, Telling]:
        """Return all ways to the leaf, by whose watermarks they move."""
        plugins = {name: plugin.telling for name, plugin in self.plugins.items()}
        return {NAME: self.notices.telling, **plugins}

    async def add_plugin(self, manifest: Manifest, runner: ModelRunner) -> None:
        """Begin with a plugin's windows or frames where it stood; replaces one of its name."""
        async with self._changing:
            await self._remove(manifest.name)
            await self._add(manifest, runner)

    async def _add(self, manifest: Manifest, runner: ModelRunner) -> None:
        plugin: Evaluation | Watching
        if manifest.wants_frames:
            plugin = Watching(manifest, runner, self._around, self._sights)
        else:
            await self._store.add_plugin(manifest.name, manifest.window_spec)
            plugin = Evaluation(manifest, runner, self._around)
        self.plugins[manifest.name] = plugin
        self._begin(manifest.name)

    def _begin(self, name: str) -> None:
        self._loops[name] = asyncio.create_task(self.plugins[name].run(), name=f"plugin {name}")

    async def remove_plugin(self, name: str) -> None:
        """Evaluate nothing more for a plugin. Where it stands is kept."""
        async with self._changing:
            await self._remove(name)

    async def _remove(self, name: str) -> None:
        loop = self._loops.pop(name, None)
        if loop is None:
            return
        loop.cancel()
        await asyncio.wait([loop])
        await self._flush()
        del self.plugins[name]
        self._store.remove_plugin(name)

    async def move(self, change: Change) -> int | None:
        """Go over to another era of the clock, with all that was stamped while it was in doubt.

        Returns:
            How many rows were moved; None: not now, as outcomes of before wait for the leaf, whose
            ids are of the times of before.

        Raises:
            StoreError: Nothing was moved.
        """
        async with self._ingesting, self._changing:
            try:
                if not await self._has_told():
                    return None
                await self._end_loops()
                return await self._move(change)
            finally:
                for name, plugin in self.plugins.items():
                    plugin.gate.set()
                    if name not in self._loops:
                        plugin.read_marks()
                        self._begin(name)

    async def _has_told(self) -> bool:
        """Stop evaluating, and say whether everything found so far is told."""
        for plugin in self.plugins.values():
            plugin.gate.clear()
        until = time.monotonic() + _TELL_S
        while time.monotonic() < until and self._is_at_work():  # noqa: ASYNC110 - plain state
            await asyncio.sleep(0.01)
        return self._is_all_told()

    def _is_at_work(self) -> bool:
        return any(p.is_evaluating for p in self.plugins.values()) or not self._is_all_told()

    def _is_all_told(self) -> bool:
        return all(telling.is_idle for telling in self._tellings().values())

    async def _end_loops(self) -> None:
        """End the plugins' tasks; what one of them still has in hand is planned anew."""
        loops = list(self._loops.values())
        self._loops.clear()
        for loop in loops:
            loop.cancel()
        if loops:
            await asyncio.wait(loops)
        await self._flush()

    async def _move(self, change: Change) -> int | None:
        if self._refused or not self._is_all_told():
            await self._store.plan_anew()
            return None
        in_doubt = self._clock.era.mark
        rows = await self._store.move(change)
        if in_doubt or change.step_ns < 0:
            self.presence.move(change.step_ns)
        self.notices.read_marks()
        return rows

    async def _ingest(self) -> None:
        while True:
            messages = await self._inbox.take(BATCH_MESSAGES)
            async with self._ingesting:
                busy_s = await self._process(self._in_time(messages))
            # As long a rest as the batch took: under load batches grow, and each costs less.
            await asyncio.sleep(min(max(busy_s, self._tick_s - busy_s), _LONGEST_REST_S))

    async def _process(self, messages: Sequence[RawMessage]) -> float:
        """Decode and store a batch; return how many seconds it took."""
        began = time.perf_counter()
        items, dead = self._decode(messages)
        self._latencies.observe("decode", time.perf_counter() - began)
        await self._commit(messages, items, dead)
        return time.perf_counter() - began

    def _in_time(self, messages: list[RawMessage]) -> list[RawMessage]:
        """Return the messages with their arrival by the clock as it is now."""
        turn, moved_ns = self._clock.turn, self._clock.moved_since_ns
        if not turn:  # as on most days
            return messages
        return [
            m
            if m.turn == turn
            else m._replace(received_ns=m.received_ns + moved_ns(m.turn), turn=turn)
            for m in messages
        ]

    def _decode(self, messages: Sequence[RawMessage]) -> tuple[list[Item], list[DeadLetter]]:
        items: list[Item] = []
        dead, self._crowded = self._crowded, []
        decode, watched = self._decoder.decode, self.guard.keeper.watched
        for message in messages:
            try:
                decoded = decode(message)
                if watched and self.guard.keeper.refuses(message, decoded):
                    continue
                items.append((message, decoded))
                for picture in decoded.pictures:
                    self._sights.cameras.offer(picture.device, picture.body, message.received_ns)
                if decoded.requests or decoded.parents or decoded.expires_s:
                    self._asking.ask(decoded.requests)
                    self.presence.note(decoded)
                if message.retained:
                    self.presence.recall(decoded, message.received_ns)
                if decoded.flaw:
                    dead += self._note_flaw(message, decoded, decoded.flaw)
            except MessageError as exc:
                letter = self._refuse(message, exc)
                if letter:
                    dead.append(letter)
        return items, dead

    def _note_flaw(self, message: RawMessage, decoded: Decoded, flaw: Flaw) -> list[DeadLetter]:
        """Count the bad parts of a message that is stored; return a sample unless there are many.

        The message itself does not count as a dead letter.
        """
        self._ledger.bad_parts[decoded.profile] += flaw.bad
        letter = self.unreadable.sample(message, PARTLY, flaw.text, decoded.profile)
        return [letter] if letter else []

    def _refuse(self, message: RawMessage, exc: MessageError) -> DeadLetter | None:
        """Count a message that cannot be decoded; return its sample unless there are many."""
        reason = exc.reason if isinstance(exc, DecodeError) else exc.code
        self._ledger.dead_letters[reason] += 1
        self.guard.note_bad(message.topic)
        profile, detail = "", str(exc)
        if isinstance(exc, UnclaimedError):
            self.unreadable.note_unclaimed(message)
            detail = "no profile claims this topic"
        if isinstance(exc, DecodeError):
            profile = exc.profile
            self.unreadable.hear(Heard(message, profile, reason))
            if exc.request:
                payload = bytes.fromhex(exc.request["payload"])
                self._asking.ask([Request(exc.request["topic"], payload)])
        return self.unreadable.sample(message, reason, detail, profile)

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
                self._refused.add("readings")
                await asyncio.sleep(exc.retry_after_s)
                continue
            break
        self._refused.discard("readings")
        self._latencies.observe("store", time.perf_counter() - began)
        self._acknowledge(messages)
        self._book(items, appended)
        for name, plugin in self.plugins.items():
            if self._store.due(name):
                plugin.wake.set()

    def _book(self, items: list[Item], appended: Appended) -> None:
        """Count how the messages of a batch that was stored have ended."""
        ledger, duplicates = self._ledger, sum(appended.duplicate)
        ledger.duplicates += duplicates
        ledger.duplicate_readings += appended.duplicate_readings
        kept, readings = len(items) - duplicates, appended.readings
        if appended.refused:
            kept -= self._book_refused(items, appended.refused)
        old = self._store.too_old(items, appended)
        if old:
            kept, readings = kept - old.messages, readings - old.readings
            ledger.too_old += old.messages
            ledger.too_old_readings += old.readings
            age_s = (self._clock.now_ns() - old.time_ns) / 1e9
            if ledger.oldest is None or age_s > ledger.oldest.age_s:
                ledger.oldest = Oldest(old.device, age_s)
        ledger.stored_messages += kept
        ledger.readings += readings

    def _book_refused(self, items: list[Item], refused: Mapping[int, Refused]) -> int:
        """Count what there was no room for; return how many messages have ended so."""
        for index, (reason, parts, is_whole) in refused.items():
            message, decoded = items[index]
            if is_whole:
                self._ledger.dead_letters[reason] += 1
            else:
                self._ledger.bad_parts[decoded.profile] += parts
            letter = self.unreadable.sample(message, reason, _NO_ROOM[reason], decoded.profile)
            if letter:
                self._crowded.append(letter)
            self._tell_crowded(reason)
        return sum(each.is_whole for each in refused.values())

    def _tell_crowded(self, reason: str) -> None:
        """Tell once that there are too many devices or series."""
        if reason in self._told_crowded:
            return
        self._told_crowded.add(reason)
        register = self._store.register
        numbers = {"devices": len(register.devices), "series": len(register.series)}
        self.notices.tell(
            Notice(
                FAULT, self._around.site.gateway, reason.replace("_", "-"),
                self._clock.now_ns(),
                numbers={name: float(count) for name, count in numbers.items()},
                about=reason,
            )
        )  # fmt: skip

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        """Write the marks that have moved, and the outcomes they stand for."""
        async with self._flushing:
            tellings = self._tellings()
            settled = {name: telling.settled() for name, telling in tellings.items()}
            marks = {name: moved for name, (moved, _) in settled.items() if moved}
            outcomes = [outcome for _, sent in settled.values() for outcome in sent]
            try:
                await self._store.write_marks(marks, outcomes)
            except StoreError as exc:
                log.error("watermarks not written, tried again: %s", exc)  # noqa: TRY400 - says it all
                self._refused.add("watermarks")
                return
            self._refused.discard("watermarks")
            for name, telling in tellings.items():
                telling.written(*settled[name])

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._store.sweep()
            except StoreError as exc:
                log.error("%s", exc)  # noqa: TRY400 - says it all
