"""The gateway's end of a worker process: start it, call it, hear why it ended."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from typing import IO, Any, Self

import psutil

from gateway.errors import PluginError, WorkerError
from gateway.inference.link import Link
from gateway.inference.manifest import Manifest
from gateway.inference.printed import Printed
from gateway.inference.slots import SLOTS, Slots
from gateway.inference.wire import (
    FrameError,
    frame,
    pack_frames,
    pack_windows,
    unpack_results,
)
from gateway.inference.worker import EXIT_MEMORY
from gateway.model import Frames, Result, Windows

STOP_S = 2.0  # for a worker to end once its socket is closed
_AT_ONCE_PX = 1_000_000
"""Resizing so much takes a millisecond at most; to hand it to a thread and back takes 0.1 ms."""
_PRIVATE = ("WEIR_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_")


class RaisedError(WorkerError):
    """A plugin's own code raised an exception; its process goes on."""

    code = "plugin_raised"


class WorkerProcess:
    """One worker process from its start to its end. Made by ``launch``.

    Attributes:
        ended: Set once the process is gone; then ``why`` tells the reason.
    """

    def __init__(self, manifest: Manifest, process: asyncio.subprocess.Process) -> None:
        self.ended = asyncio.Event()
        self._limits = manifest.limits
        self._letterbox = manifest.frame is None or manifest.frame.fit == "letterbox"
        self._process = process
        self._slots: Slots | None = None
        self._link = Link()
        self._transport: asyncio.WriteTransport | None = None
        self._printed: Printed | None = None
        self._output: asyncio.ReadTransport | None = None
        self._calls = 0
        self._reason = ""
        self._watch = asyncio.create_task(self._until_ended())

    @classmethod
    async def launch(cls, manifest: Manifest, log: deque[str]) -> Self:
        """Start a worker and wait until its plugin is loaded.

        Args:
            manifest: The plugin's.
            log: Takes the lines that the plugin prints.

        Raises:
            PluginError: The plugin cannot be used.
            WorkerError: The process ended, or was not ready within ``limits.start_s``.
        """
        ours, theirs = socket.socketpair()
        output, input_ = os.pipe()
        reading = os.fdopen(output, "rb", buffering=0)
        slots = Slots.made() if manifest.wants_frames else None
        shared = [slots.descriptor] if slots else []
        try:
            with theirs, os.fdopen(input_, "wb", buffering=0) as printing:
                process = await asyncio.create_subprocess_exec(
                    *_command(manifest, theirs.fileno(), *shared),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=printing,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=(theirs.fileno(), *shared),
                    start_new_session=True,  # the terminal's Ctrl-C is for the gateway
                    env=_environment(manifest),
                )
        except BaseException as exc:
            ours.close()
            reading.close()
            if slots:
                slots.close()
            if isinstance(exc, OSError):
                raise WorkerError(f"could not start a process: {exc}") from exc
            raise
        worker = cls(manifest, process)
        worker._slots = slots
        try:
            await worker._connect(ours, reading, log)
        except BaseException:
            await worker.close()
            if worker._output is None:  # cancelled before a transport owned it
                reading.close()
            if worker._transport is None:
                ours.close()
            raise
        return worker

    async def _connect(self, ours: socket.socket, reading: IO[bytes], log: deque[str]) -> None:
        loop = asyncio.get_running_loop()
        self._output, self._printed = await loop.connect_read_pipe(lambda: Printed(log), reading)
        ready = self._link.expect(0)
        ours.setblocking(False)
        self._transport, _ = await loop.create_unix_connection(lambda: self._link, sock=ours)
        kind, body = await self._answer(ready, self._limits.start_s, "not ready")
        if kind != "ready":
            raise PluginError(*body)
        if self._slots:
            self._slots.open(tuple(body), grow=True)

    @property
    def why(self) -> str:
        """Return why the process ended, in plain words."""
        return (
            self._reason
            or self._link.problem
            or _told(self._process.returncode, self._limits.memory_mb)
        )

    def rss_bytes(self) -> int:
        """Return the process's resident memory; 0 once it is gone."""
        if self._process.returncode is not None:
            return 0
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    async def evaluate(self, batch: Windows | Frames, states: list[bytes | None]) -> list[Result]:
        """Send a batch, of frames at most ``SLOTS``, and return its results.

        Raises:
            RaisedError: The plugin's own code raised; the process goes on.
            WorkerError: The process ended, or did not answer within ``limits.call_s`` and was
                killed.
        """
        if self._transport is None or self._transport.is_closing():
            await self._gone()
            raise WorkerError(self.why)
        self._calls += 1
        answer = self._link.expect(self._calls)
        try:
            packed = await self._packed(batch, states)
            self._transport.write(frame(self._calls, "evaluate", packed))
            kind, body = await self._answer(answer, self._limits.call_s, "no answer")
        finally:
            self._link.forget(self._calls)
        if kind == "error":
            raise RaisedError(f"raised {body}")
        try:
            return unpack_results(body, len(batch))
        except FrameError as exc:
            self.kill(f"answered nonsense: {exc}")
            raise WorkerError(self.why) from exc

    async def _packed(self, batch: Windows | Frames, states: list[bytes | None]) -> list[Any]:
        if isinstance(batch, Windows):
            return pack_windows(batch, states)
        if self._slots is None or len(batch) > SLOTS:
            raise ValueError(f"{len(batch)} frames are over {SLOTS}, or for a plugin of windows")
        if self._slots.pixels(batch.frames) <= _AT_ONCE_PX:
            self._slots.fit(batch.frames, letterbox=self._letterbox)
        else:  # lets others run meanwhile
            await asyncio.to_thread(self._slots.fit, batch.frames, letterbox=self._letterbox)
        return pack_frames(batch, states)

    def kill(self, reason: str) -> None:
        """End the process, and what it started, at once; the first reason is kept."""
        if self._process.returncode is None:
            self._reason = self._reason or reason
            self._sweep()

    def _sweep(self) -> None:
        """Kill the process and all that it started: it leads a group of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Let the process end: close its socket, and kill it if it does not go."""
        if self._transport is not None:
            self._transport.close()
        try:
            await asyncio.wait_for(self.ended.wait(), STOP_S if self._transport else 0)
        except TimeoutError:
            self.kill("did not stop")
            await self.ended.wait()  # SIGKILL cannot be ignored
        await asyncio.wait([self._watch])
        if self._slots is not None:
            self._slots.close()
            self._slots = None

    async def _answer(
        self, answer: asyncio.Future[tuple[str, Any]], limit_s: float, late: str
    ) -> tuple[str, Any]:
        try:
            return await asyncio.wait_for(answer, limit_s)
        except TimeoutError as exc:
            self.kill(f"{late} in {limit_s:g} s")
            raise WorkerError(self.why) from exc
        except ConnectionError as exc:
            await self._gone()
            raise WorkerError(self.why) from exc

    async def _gone(self) -> None:
        """Wait for the end of a process whose socket is closed; one that stays is killed."""
        try:
            await asyncio.wait_for(self.ended.wait(), STOP_S)
        except TimeoutError:
            self.kill("closed its socket")

    async def _until_ended(self) -> None:
        try:
            await self._process.wait()
            self._sweep()
            if self._printed is not None:
                with contextlib.suppress(TimeoutError):  # what left its group may hold the pipe
                    await asyncio.wait_for(self._printed.closed.wait(), 0.5)
        finally:  # also when the whole loop is being cancelled
            self.kill("stopped")
            if self._output is not None:
                self._output.close()
            self.ended.set()


def _command(manifest: Manifest, descriptor: int, frames: int = -1) -> list[str]:
    interpreter = [sys.executable, "-P", "-B", "-m", "gateway.inference.worker"]
    limits = [str(os.getpid()), str(manifest.limits.memory_mb)]
    return [*interpreter, str(manifest.folder), str(descriptor), *limits, str(frames)]


def _environment(manifest: Manifest) -> dict[str, str]:
    """Return the environment without what is the gateway's own, secrets first of all."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_PRIVATE)}
    threads = str(manifest.limits.threads)
    fixed = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    return kept | fixed | {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}


def _told(code: int | None, memory_mb: int) -> str:
    if code is None:
        return "stopped"
    if code == EXIT_MEMORY:
        return f"over {memory_mb} MB of memory"
    if code < 0:
        known = {int(s): s.name for s in signal.Signals}
        return f"crashed (signal {-code} {known.get(-code, '')})".replace(" )", ")")
    return "ended by itself" if code == 0 else f"ended with exit code {code}"
