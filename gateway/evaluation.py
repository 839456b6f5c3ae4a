"""One plugin at work: its windows become results, and results become outcomes.

`telling` runs beside it, so that the next windows are evaluated while the last outcomes are on
their way to the disk.
"""

import asyncio
import logging
import time
from dataclasses import replace

from gateway.errors import MessageError, WorkerError
from gateway.features import Mark, QueryError
from gateway.inference.manifest import Manifest
from gateway.inference.port import ModelRunner, PoisonedError
from gateway.inference.report import Reported, judge
from gateway.inference.rounds import take
from gateway.model import Channel, Outcome, OutcomeContext, Packet, Result, Windows
from gateway.outcomes.packet import encode
from gateway.telling import Surroundings, Telling

log = logging.getLogger(__name__)

BATCH_WINDOWS = 256


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
        self._forgotten: set[str] = set()
        self._evaluating = False
        self.telling = Telling(manifest.name, around)

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is due, evaluated or told right now."""
        at_work = self._evaluating or not self.telling.is_idle
        return not (at_work or self._around.store.due(self._name))

    async def run(self) -> None:
        """Evaluate and tell until cancelled."""
        self.wake.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._evaluate_forever())
            group.create_task(self.telling.run())

    def forget(self, sources: set[str] | None) -> int:
        """Let the plugin begin anew with some sources, or with all; return with how many."""
        chosen = set(self._marks) - {""} if sources is None else sources & set(self._marks)
        self._forgotten |= chosen
        return len(chosen)

    async def _evaluate_forever(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self._around.store.due(self._name):
                while self.telling.is_full:  # noqa: ASYNC110 - only when the leaf is away
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
        latencies.observe("window", time.perf_counter() - began)
        try:
            await self._infer(windows)
        except PoisonedError as exc:
            if len(windows) == 1:
                self._skip(windows, exc)
                return
            # One source's window must not cost the others theirs: each by itself.
            for i in range(len(windows)):
                await self._infer_alone(take(windows, [i]))

    async def _infer_alone(self, window: Windows) -> None:
        try:
            await self._infer(window)
        except PoisonedError as exc:
            self._skip(window, exc)

    async def _infer(self, windows: Windows) -> None:
        """Evaluate windows, and judge the results.

        Raises:
            PoisonedError: The plugin fails on these windows whatever is tried.
        """
        began = time.perf_counter()
        states = [self._state(source) for source in windows.sources]
        while True:
            try:
                results = await self.runner.evaluate(windows, states)
            except WorkerError as exc:
                self.trouble = str(exc)
                await asyncio.sleep(exc.retry_after_s)
                continue
            break
        self._around.latencies.observe("infer", time.perf_counter() - began)
        self._forgotten -= set(windows.sources)
        self.evaluated += len(windows)
        self.trouble = ""
        for i, result in enumerate(results):
            self._judge(windows, i, result)

    def _skip(self, window: Windows, exc: PoisonedError) -> None:
        """Give a window up: it is counted, and the source goes on behind it."""
        self.skipped += 1
        self._complain(f"window of {window.sources[0]} skipped: {exc}")
        source = window.sources[0]
        mark = replace(self._marks.get(source) or Mark(0), end_ns=int(window.end_ns[0]))
        self._marks[source] = mark
        self.telling.reach(source, mark)

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
            self.telling.tell(packet, result)
        state = mark.state if result.state is None else result.state
        label, reported_ns = last or ("", 0)
        mark = self._marks[source] = Mark(end_ns, label, reported_ns, state)
        self.telling.reach(source, mark)

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

    def _complain(self, trouble: str) -> None:
        self.trouble = trouble
        log.error("plugin %s: %s", self._name, trouble)


def _quantities(channels: tuple[Channel, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((channel.metric, channel.unit or "") for channel in channels)
