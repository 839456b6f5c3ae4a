"""A plugin that is kept running: started, watched, asked, and started again after a failure."""

import asyncio
import logging
import time
from collections import deque
from typing import NoReturn

import numpy as np

from gateway.errors import PluginError, WorkerError
from gateway.inference.golden import Case, load_cases
from gateway.inference.manifest import Manifest
from gateway.inference.port import Health, PoisonedError, State
from gateway.inference.printed import LOG_LINES
from gateway.inference.process import RaisedError, WorkerProcess
from gateway.model import Frames, Result, Windows

log = logging.getLogger(__name__)

POISON_AFTER = 3
FIRST_BACKOFF_S = 0.2
LAST_BACKOFF_S = 30.0
SETTLED_S = 10.0
WATCH_S = 0.25
KEPT_LATENCIES = 256


class WorkerRunner:
    """Runs a plugin in a process of its own.

    A call that fails ends at once with an error; starting again goes on beside, so that nobody
    waits for a broken plugin.

    Args:
        manifest: The plugin's.
        golden_every_s: How often its golden inputs are asked while it runs.
    """

    def __init__(self, manifest: Manifest, *, golden_every_s: float = 30.0) -> None:
        self._manifest = manifest
        self._golden_every_s = golden_every_s
        self._cases: list[Case] = []
        self._worker: WorkerProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._state = State.STARTING
        self._reason = ""
        self._restarts = 0
        self._calls = 0
        self._latencies_ms: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._golden_ok_ns: int | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._resume_at = 0.0
        self._failed_batch = 0
        self._failures = 0

    @property
    def manifest(self) -> Manifest:
        """Return the plugin's manifest."""
        return self._manifest

    @property
    def health(self) -> Health:
        """Return how the plugin is now."""
        p50, p95 = (
            np.percentile(self._latencies_ms, [50, 95]).tolist()
            if self._latencies_ms
            else (None, None)
        )
        return Health(
            state=self._state,
            reason=self._reason,
            restarts=self._restarts,
            calls=self._calls,
            latency_p50_ms=p50,
            latency_p95_ms=p95,
            rss_bytes=self._worker.rss_bytes() if self._worker else 0,
            golden_ok_ns=self._golden_ok_ns,
            log=tuple(self._log),
        )

    async def start(self) -> None:
        """Load the plugin and wait until it answered its golden inputs.

        Takes at most ``limits.start_s`` and ``limits.call_s`` for each golden input.

        Raises:
            PluginError: It cannot be used and is set aside.
            WorkerError: It crashed or hung; it is started again, with back-off, until ``stop``.
        """
        try:
            self._cases = await asyncio.to_thread(load_cases, self._manifest)
        except PluginError as exc:
            self._set_aside(exc)
            raise
        if self._state is State.STOPPED:
            raise WorkerError("stopped")
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_running(first))
        # Here and not within the task: one that is cancelled before its first step runs nothing.
        self._task.add_done_callback(lambda _: _end(first))
        await first

    async def evaluate(self, batch: Windows | Frames, states: list[bytes | None]) -> list[Result]:
        """Return a result for each window or frame, in order. One batch runs at a time.

        Args:
            batch: B windows, or at most ``SLOTS`` frames.
            states: [B] what the plugin gave back with each source's last window, or None.

        Raises:
            WorkerError: The plugin is not running, or failed on this batch.
            PoisonedError: It failed on this batch, told by its oldest window, three times in a row.
        """
        if not len(batch):
            return []
        async with self._turn:
            worker = self._worker
            if worker is None:
                wait_s = max(self._resume_at - time.monotonic(), FIRST_BACKOFF_S)
                raise WorkerError(self._reason or self._state, wait_s)
            began = time.perf_counter()
            try:
                results = await worker.evaluate(batch, states)
            except WorkerError as exc:
                self._note_failure(str(exc))
                raise self._told(int(batch.end_ns.min()), exc) from exc
            self._latencies_ms.append((time.perf_counter() - began) * 1e3)
        self._calls += 1
        self._failures = 0
        if self._state is State.UNHEALTHY:
            self._state = State.HEALTHY
        return results

    async def stop(self) -> None:
        """End the plugin's process; takes at most a few seconds. Calls in hand fail."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._state is not State.SET_ASIDE:
            self._state = State.STOPPED

    def _note_failure(self, reason: str) -> None:
        self._reason = reason
        if self._state is State.HEALTHY:
            self._state = State.UNHEALTHY

    def _told(self, oldest_ns: int, exc: WorkerError) -> WorkerError | PoisonedError:
        """Return the error to raise, after counting failures on the batch with this oldest end.

        A batch that is tried again may have grown; its oldest window stays, for it holds back
        the watermark.
        """
        same = self._failed_batch == oldest_ns
        self._failures = self._failures + 1 if same else 1
        self._failed_batch = oldest_ns
        if self._failures < POISON_AFTER:
            return WorkerError(str(exc), FIRST_BACKOFF_S)
        self._failures = 0
        return PoisonedError(f"{exc}; {POISON_AFTER} times on the same batch")

    async def _keep_running(self, first: asyncio.Future[None]) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            began = time.monotonic()
            failure = await self._run_once(first)
            if not first.done():
                first.set_exception(failure)
            if isinstance(failure, PluginError):
                return
            if time.monotonic() - began > SETTLED_S:
                backoff_s = FIRST_BACKOFF_S
            await self._back_off(str(failure), backoff_s)
            backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)

    async def _run_once(self, first: asyncio.Future[None]) -> PluginError | WorkerError:
        """Run one process from start to end and return why it ended."""
        try:
            await self._run(first)
        except PluginError as exc:
            self._set_aside(exc)
            return exc
        except WorkerError as exc:
            return exc
        except Exception as exc:
            log.exception("plugin %s: the runner failed", self._manifest.name)
            return WorkerError(f"the runner failed: {exc!r}")

    async def _back_off(self, reason: str, backoff_s: float) -> None:
        self._reason = reason
        self._state = State.BACKING_OFF
        self._resume_at = time.monotonic() + backoff_s
        log.warning(
            "plugin %s: %s; starting again in %.1f s; it printed last: %s",
            self._manifest.name,
            reason,
            backoff_s,
            self._log[-1] if self._log else "nothing",
        )
        await asyncio.sleep(backoff_s)
        self._restarts += 1
        self._state = State.STARTING

    async def _run(self, first: asyncio.Future[None]) -> NoReturn:
        worker = await WorkerProcess.launch(self._manifest, self._log)
        try:
            if difference := await self._golden_difference(worker):
                raise PluginError(str(self._manifest.folder), "testcases", difference)
            self._worker = worker
            self._state = State.HEALTHY
            if not first.done():
                first.set_result(None)
            await self._watch(worker)
        finally:
            self._worker = None
            await worker.close()

    async def _watch(self, worker: WorkerProcess) -> NoReturn:
        limit_bytes = self._manifest.limits.memory_mb << 20
        golden_at = time.monotonic() + self._golden_every_s
        while True:
            try:
                await asyncio.wait_for(worker.ended.wait(), WATCH_S)
                raise WorkerError(worker.why)
            except TimeoutError:
                if worker.rss_bytes() > limit_bytes:
                    worker.kill(f"over {self._manifest.limits.memory_mb} MB of memory")
                elif time.monotonic() >= golden_at and not self._turn.locked():
                    await self._check_golden(worker)
                    golden_at = time.monotonic() + self._golden_every_s

    async def _check_golden(self, worker: WorkerProcess) -> None:
        async with self._turn:
            if difference := await self._golden_difference(worker):
                worker.kill(difference)

    async def _golden_difference(self, worker: WorkerProcess) -> str:
        for case in self._cases:
            try:
                difference = await case.play(worker.evaluate)
            except RaisedError as exc:
                difference = str(exc)
            if difference:
                return f"testcases/{case.name}: {difference}"
        if self._cases:
            self._golden_ok_ns = time.time_ns()
        return ""

    def _set_aside(self, exc: PluginError) -> None:
        self._state = State.SET_ASIDE
        self._reason = str(exc)
        log.error("plugin %s is set aside: %s", self._manifest.name, exc)


def _end(first: asyncio.Future[None]) -> None:
    """End the wait for a plugin whose runner was stopped before it was ready."""
    if not first.done():
        first.set_exception(WorkerError("stopped"))
