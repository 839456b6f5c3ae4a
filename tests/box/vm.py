"""A box in QEMU: a kernel and memory of its own, of this machine's architecture or of another."""

import contextlib
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.box.agent import Agent
from tests.box.images import disk
from tests.box.machine import BoxError, Said, SkipBox, wait

_PORTS = (1883, 9108)
_BOOT_S = 90.0
_STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Board:
    """What is emulated.

    Attributes:
        arch: Debian's name of the architecture.
        program: QEMU's.
        options: What makes the machine.
        console: Its serial line, as Linux calls it.
        slowness: How much slower than this machine things may be.
    """

    arch: str
    program: str
    options: tuple[str, ...]
    console: str
    slowness: float


ARM64 = Board(
    "arm64", "qemu-system-aarch64",
    ("-M", "virt", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi"), "ttyAMA0", 8.0,
)  # fmt: skip
# Emulated too: /dev/kvm is not there, or does not work, on many a machine that is virtual itself.
AMD64 = Board(
    "amd64", "qemu-system-x86_64",
    ("-M", "q35", "-cpu", "max", "-accel", "tcg,thread=multi"), "ttyS0", 8.0,
)  # fmt: skip


def can_run(board: Board) -> None:
    """Raise SkipBox with the reason where no such box can run."""
    if os.geteuid():
        raise SkipBox("only root can make its disk")
    missing = [name for name in (board.program, "mmdebstrap", "mke2fs") if not shutil.which(name)]
    if missing:
        raise SkipBox(
            f"{', '.join(missing)} is missing: apt install qemu-system-arm qemu-system-x86 "
            "qemu-user-static arch-test mmdebstrap e2fsprogs"
        )


class Vm:
    """A box on an emulated board.

    Args:
        board: Which.
        base: A tar of what is installed on it, with a kernel and QEMU's guest agent.
        debs: Our packages, put into /debs.
        folder: Where its disk lies.
        memory_mb: What the board has.
        cores: Its processors.
    """

    outside = "10.0.2.2"

    def __init__(
        self, board: Board, base: Path, debs: Sequence[Path], folder: Path, *,
        memory_mb: int = 3072, cores: int = 2,
    ) -> None:  # fmt: skip
        self.arch = board.arch
        self.slowness = board.slowness
        self._board = board
        self._folder = folder
        self._memory_mb, self._cores = memory_mb, cores
        self._image, self._kernel, self._initrd = disk(base, debs, folder)
        self._agent = Agent(folder / "agent.sock")
        self._ports = {port: _free_port() for port in _PORTS}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; see `Machine`."""
        began = time.monotonic()
        with (self._folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["nice", "-n", "10", *self._command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait("systemd in the box", self._is_running, _BOOT_S * self.slowness, 0.2)
        except BoxError as exc:
            raise BoxError(f"{exc}\n{self._console()}") from exc
        return time.monotonic() - began

    def call(self, command: str, limit_s: float = 60.0) -> Said:
        """Run a line of shell; see `Machine`."""
        return self._agent.call(command, limit_s)

    def put(self, file: Path, folder: str) -> None:
        """Copy into the box; see `Machine`."""
        tar = self._folder / "put.tar"
        with tarfile.open(tar, "w", dereference=True) as out:
            out.add(file, file.name, filter=_as_root)
        self._agent.put(tar, "/root/put.tar")
        said = self.call(f"tar -C {folder} -xf /root/put.tar; rm /root/put.tar")
        if said.code:
            raise BoxError(f"{file.name}: {said.text}")

    def get(self, file: str, to: Path) -> None:
        """Copy out of the box; see `Machine`."""
        self._agent.get(file, to)

    def device_address(self, port: int) -> tuple[str, int]:
        """Return where a port of the box is; see `Machine`."""
        return "127.0.0.1", self._ports[port]

    def reboot(self) -> float:
        """Restart it; see `Machine`."""
        began = time.monotonic()
        with contextlib.suppress(BoxError, OSError):
            self._agent.call("systemctl poweroff", 5.0)
        self._agent.close()
        self._end()
        self.start()
        return time.monotonic() - began

    def cut_power(self) -> float:
        """Kill and start it; see `Machine`."""
        began = time.monotonic()
        self._kill()
        self.start()
        return time.monotonic() - began

    def stop(self) -> None:
        """End it; see `Machine`. Its folder is the caller's."""
        self._kill()

    def _kill(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
        self._agent.close()
        self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(_STOP_S * self.slowness)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        (self._folder / "agent.sock").unlink(missing_ok=True)

    def _command(self) -> list[str]:
        forwards = ",".join(
            f"hostfwd=tcp:127.0.0.1:{here}-:{port}" for port, here in self._ports.items()
        )
        return [
            self._board.program, *self._board.options, "-smp", str(self._cores),
            "-m", str(self._memory_mb), "-nographic", "-no-reboot", "-monitor", "none",
            "-kernel", str(self._kernel), "-initrd", str(self._initrd), "-append",
            f"root=/dev/vda rw console={self._board.console} systemd.show_status=0 quiet",
            # Written through this machine's cache: what a box has synchronised outlives its end.
            "-drive", f"file={self._image},format=raw,if=virtio,cache=writeback",
            "-netdev", f"user,id=net,{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "virtio-serial-pci", "-device", "virtio-rng-pci",
            "-chardev", f"socket,path={self._folder / 'agent.sock'},server=on,wait=off,id=agent",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        ]  # fmt: skip

    def _is_running(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise BoxError(f"QEMU ended\n{self._console()}")
        if not self._agent.answers():
            return False
        said = self.call("systemctl is-system-running", 30.0)
        return said.text.strip() in {"running", "degraded"}

    def _console(self) -> str:
        return (self._folder / "console.log").read_text(errors="replace")[-3000:]


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
