"""One plugin at work on windows: they become results, and results become outcomes.

`telling` runs beside it, so that the next windows are evaluated while the last outcomes are on
their way to the disk.
"""

import asyncio
import logging
import time

from gateway.errors import StoreError, WorkerError
from gateway.features import Mark, QueryError
from gateway.inference.manifest import Manifest
from gateway.inference.port import ModelRunner, PoisonedError
from gateway.inference.report import Reported, judge
from gateway.inference.rounds import take
from gateway.model import Channel, Packet, Result, Windows
from gateway.telling import Surroundings
from gateway.work import Quantities, Work

log = logging.getLogger(__name__)

BATCH_WINDOWS = 256


class Evaluation(Work):
    """Evaluates the windows of one plugin until it is cancelled.

    Args:
        manifest: The plugin's.
        runner: Its process.
        around: What it shares with the others.

    Attributes:
        wake: Set when windows may be due.
    """

    def __init__(self, manifest: Manifest, runner: ModelRunner, around: Surroundings) -> None:
        super().__init__(manifest, runner, around)
        self.wake = asyncio.Event()
        self._name = manifest.name

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is due, evaluated or told right now."""
        at_work = self.is_evaluating or not self.telling.is_idle
        return not (at_work or self._around.store.due(self._name))

    async def run(self) -> None:
        """Evaluate and tell until cancelled."""
        self.wake.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._evaluate_forever())
            group.create_task(self.telling.run())

    async def _evaluate_forever(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self._around.store.due(self._name):
                while self.telling.is_full:  # noqa: ASYNC110 - only when the leaf is away
                    await asyncio.sleep(0.05)
                await self.gate.wait()
                await self._evaluate_safely()

    async def _evaluate_safely(self) -> None:
        self.is_evaluating = True
        try:
            await self._evaluate()
        except QueryError as exc:
            self._complain(f"features.sql: {exc}")
        except StoreError as exc:
            self.trouble = f"windows wait: {exc}"
            await asyncio.sleep(exc.retry_after_s)
        except Exception:
            # This plugin must go on whatever it met. The windows come again after a restart.
            self.trouble = "internal error, see the log"
            log.exception("plugin %s", self._name)
            await asyncio.sleep(1.0)
        finally:
            self.is_evaluating = False

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
                self._give_up(windows, exc)
                return
            # One source's window must not cost the others theirs: each by itself.
            for i in range(len(windows)):
                await self._infer_alone(take(windows, [i]))

    async def _infer_alone(self, window: Windows) -> None:
        try:
            await self._infer(window)
        except PoisonedError as exc:
            self._give_up(window, exc)

    async def _infer(self, windows: Windows) -> None:
        """Evaluate windows, and judge the results.

        Raises:
            PoisonedError: The plugin fails on these windows whatever is tried.
        """
        began = time.perf_counter()
        states = self._states(windows.sources)
        while True:
            try:
                results = await self.runner.evaluate(windows, states)
            except WorkerError as exc:
                self.trouble = str(exc)
                await asyncio.sleep(exc.retry_after_s)
                continue
            break
        self._around.latencies.observe("infer", time.perf_counter() - began)
        self._note_evaluated(windows.sources)
        for i, result in enumerate(results):
            self._judge(windows, i, result)

    def _give_up(self, window: Windows, exc: PoisonedError) -> None:
        self._skip(window.sources[0], int(window.end_ns[0]), exc)

    def _judge(self, windows: Windows, i: int, result: Result) -> None:
        """Decide whether a result is told, and move the plugin's own mark."""
        source, end_ns = windows.sources[i], int(windows.end_ns[i])
        mark = self._marks.get(source) or Mark(0)
        last = Reported(mark.label, mark.reported_ns) if mark.reported_ns else None
        report, last = judge(self.manifest.report, last, result, end_ns)
        if report and (packet := self._packet_of(windows, i, result)):
            self.telling.tell(packet, result)
        state = mark.state if result.state is None else result.state
        label, reported_ns = last or ("", 0)
        self._reach(source, Mark(end_ns, label, reported_ns, state))

    def _packet_of(self, windows: Windows, i: int, result: Result) -> Packet | None:
        span_ns = int(windows.start_ns[i]), int(windows.end_ns[i])
        quantities = _quantities(windows.channels[i])
        received_ns = int(windows.received_ns[i])
        return self._packet(windows.sources[i], result, quantities, span_ns, received_ns)


def _quantities(channels: tuple[Channel, ...]) -> Quantities:
    return tuple((channel.metric, channel.unit or "") for channel in channels)
