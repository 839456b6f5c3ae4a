"""A box in systemd-nspawn: systemd as PID 1, a network of its own, the kernel of this machine."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.box.machine import ENVIRONMENT, HOST_NAME, BoxError, Said, SkipBox, wait

# Private, as units let in nobody else; each run its own, so that two do not meet.
_NETWORK = f"10.213.{os.getpid() % 254 + 1}"
_OUTSIDE, _INSIDE = f"{_NETWORK}.1", f"{_NETWORK}.2"
_START_S = 40.0
_STOP_S = 20.0
_V1_MEMORY = Path("/sys/fs/cgroup/memory")


def can_run() -> None:
    """Raise SkipBox with the reason where no such box can run."""
    if os.geteuid():
        raise SkipBox("only root can start one")
    missing = [name for name in ("systemd-nspawn", "mmdebstrap", "ip") if not shutil.which(name)]
    if missing:
        raise SkipBox(
            f"{', '.join(missing)} is missing: apt install systemd-container mmdebstrap iproute2"
        )
    if not os.path.ismount("/"):
        raise SkipBox("/ is no mount point here, which systemd-nspawn needs")
    probe = ["ip", "link", "add", "weir-probe", "type", "veth", "peer", "name", "weir-peer"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        raise SkipBox("no virtual network can be made here")
    subprocess.run(["ip", "link", "del", "weir-probe"], check=True)


class Nspawn:
    """A box in a folder.

    Args:
        base: A tar of what is installed on it.
        folder: Where it lies while it runs; everything below it is removed.
        memory_mb: What all in it may use, by a control group of this machine around it; 0: all.
            It sees this machine's memory nevertheless.
    """

    arch = "amd64"
    outside = _OUTSIDE
    slowness = 1.0

    def __init__(self, base: Path, folder: Path, memory_mb: int = 0) -> None:
        self._name = f"weirbox{os.getpid() % 100000}"
        self._root = folder / self._name
        self._memory_bytes = memory_mb << 20
        self._log = folder / f"{self._name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._root.mkdir(parents=True)
        subprocess.run(["tar", "-C", self._root, "--numeric-owner", "-xf", base], check=True)
        (self._root / "etc/machine-id").write_text("")
        (self._root / "etc/hostname").write_text(f"{HOST_NAME}\n")
        (self._root / "etc/hosts").write_text(f"127.0.0.1 localhost {HOST_NAME}\n")

    def start(self) -> float:
        """Start it; see `Machine`."""
        began = time.monotonic()
        managed = Path("/run/systemd/system").is_dir()
        alone = [] if managed else ["--register=no", "--keep-unit"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._entering(managed=managed), "systemd-nspawn", "--quiet",
                 f"--directory={self._root}", f"--machine={self._name}", "--boot",
                 "--network-veth", "--console=read-only",
                 "--link-journal=no", "--resolv-conf=off", "--timezone=off", *alone],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**ENVIRONMENT, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip
        self._await_systemd()
        return time.monotonic() - began

    def call(self, command: str, limit_s: float = 60.0) -> Said:
        """Run a line of shell; see `Machine`."""
        environment = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        enter = ["nsenter", "-t", str(self._leader()), "-a", "env", "-i", *environment]
        try:
            done = subprocess.run(
                [*enter, "sh", "-c", command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=limit_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as exc:
            raise BoxError(f"{command}: longer than {limit_s:.0f} s\n{exc.output!r}") from exc
        return Said(done.returncode, done.stdout.decode(errors="replace"))

    def put(self, file: Path, folder: str) -> None:
        """Copy into the box; see `Machine`."""
        subprocess.run(
            ["cp", "-rL", "--no-preserve=ownership", file, self._inside(folder)], check=True
        )

    def get(self, file: str, to: Path) -> None:
        """Copy out of the box; see `Machine`."""
        shutil.copyfile(self._inside(file), to)

    def device_address(self, port: int) -> tuple[str, int]:
        """Return where a port of the box is; see `Machine`."""
        return _INSIDE, port

    def reboot(self) -> float:
        """Restart it; see `Machine`."""
        began = time.monotonic()
        # Powered off and started: where / is a disk, systemd-nspawn's own restart gives up.
        self.call("systemctl poweroff")
        self._end()
        self.start()
        return time.monotonic() - began

    def cut_power(self) -> float:
        """Kill and start it; see `Machine`."""
        began = time.monotonic()
        os.kill(self._leader(), signal.SIGKILL)
        self._end()
        self.start()
        return time.monotonic() - began

    def stop(self) -> None:
        """End and remove it; see `Machine`."""
        if leader := self._leader():
            os.kill(leader, signal.SIGKILL)
        self._end()
        subprocess.run(["rm", "-rf", "--one-file-system", self._root], check=False)

    def _end(self) -> None:
        if self._process:
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{self._name}", ignore_errors=True)
        for hierarchy in Path("/sys/fs/cgroup").glob(f"*/{self._name}"):
            for group in sorted([hierarchy, *hierarchy.rglob("*/")], reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()

    @property
    def memory_group(self) -> Path:
        """Return the control group that counts the memory of all in the box."""
        return (_V1_MEMORY if _V1_MEMORY.is_dir() else _own_hierarchy()) / self._name

    def _entering(self, *, managed: bool) -> list[str]:
        """Return what puts a command into control groups of its own, where nobody else does."""
        groups = [] if managed else [_own_hierarchy() / self._name]
        if self._memory_bytes:
            groups.append(self.memory_group)
            self.memory_group.mkdir(exist_ok=True)
            limit = "memory.limit_in_bytes" if _V1_MEMORY.is_dir() else "memory.max"
            (self.memory_group / limit).write_text(str(self._memory_bytes))
        for group in groups:
            group.mkdir(exist_ok=True)
        enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups)
        return ["sh", "-c", f'{enter}exec "$@"', "sh"]

    def _leader(self) -> int:
        """Return the process that is PID 1 in the box, 0 while there is none."""
        if self._process is None or self._process.poll() is not None:
            return 0
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            found = children.read_text().split()
        except OSError:
            return 0
        return int(found[0]) if found else 0

    def _await_systemd(self) -> None:
        try:
            wait("systemd in the box", self._is_running, _START_S)
        except BoxError as exc:
            raise BoxError(f"{exc}\n{self._log.read_text(errors='replace')[-2000:]}") from exc
        commands = ("ip addr replace {}/24 dev {}", "ip link set {1} up")
        for command in commands:
            ours = command.format(_OUTSIDE, f"ve-{self._name}"[:15]).split()
            subprocess.run(ours, check=True)
            self.call(command.format(_INSIDE, "host0"))

    def _is_running(self) -> bool:
        if not self._leader():
            return False
        said = self.call("systemctl is-system-running")
        return said.text.strip() in {"running", "degraded"}

    def _inside(self, path: str) -> Path:
        return self._root / path.lstrip("/")


def _own_hierarchy() -> Path:
    """Return where control groups of version 2 lie on this machine."""
    root = Path("/sys/fs/cgroup")
    return root / "unified" if (root / "unified").is_dir() else root
