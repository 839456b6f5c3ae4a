"""A gateway and a hub as a user would start them, for measurements and system tests."""

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil

from gateway.client import ask
from gateway.errors import GatewayError

_START_S = 30.0
_WEIR = [sys.executable, "-m", "gateway.cli"]


@dataclass(slots=True)
class Stand:
    """What is running.

    Attributes:
        folder: Everything lies below it.
        hub_dir: Where the hub keeps outcomes.
        broker: Host and port for devices.
        hub_url: For NATS clients.
        processes: By name; started as a user would start them.
        environment: What the gateway's has besides.
    """

    folder: Path
    hub_dir: Path
    hub_url: str = ""
    leaf_url: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        """Return the gateway's state directory."""
        return self.folder / "state"

    def ask(self, what: str, body: str | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Ask the gateway; see `gateway.client.ask`."""
        return ask(self.state_dir / "weir.sock", what, body)

    def broker(self) -> tuple[str, int]:
        """Return where devices connect."""
        host, _, port = self.ask("/status")["broker"]["url"].partition("://")[2].partition(":")
        return host, int(port)

    def start_hub(self, *options: str) -> None:
        """Start `weir hub`, on the same ports if it was started before."""
        process = subprocess.Popen(
            [*_WEIR, "hub", "--dir", str(self.hub_dir), "--client-port", "0",
             "--leaf-port", "0", "--mqtt-port", "0", "--json", *options],
            stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.processes["hub"] = process
        assert process.stdout is not None
        said = orjson.loads(process.stdout.readline())
        self.hub_url, self.leaf_url = said["url"], said["leaf_url"]

    def write_config(self, text: str) -> Path:
        """Write ``gateway.toml``; ``{leaf_url}`` and ``{state_dir}`` in it are filled in."""
        config = self.folder / "gateway.toml"
        filled = text.replace("{leaf_url}", self.leaf_url)
        config.write_text(filled.replace("{state_dir}", str(self.state_dir)))
        return config

    def start_leaf(self) -> None:
        """Start `weir leaf run`, for a configuration whose leaf is a unit of its own."""
        self._start("leaf", "leaf", "run")

    def start_gateway(self, *, wait: bool = True) -> None:
        """Start `weir run` with the configuration written."""
        self._start("gateway", "run")
        if wait:
            self.await_ready()

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*_WEIR, *command, "-c", str(self.folder / "gateway.toml")],
                stdout=log, stderr=log, start_new_session=True,
                env={**_environment(), **self.environment},
            )  # fmt: skip

    def await_ready(self) -> None:
        """Wait until the gateway is ready for devices."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self.processes["gateway"].poll() is not None:
                break
            with contextlib.suppress(GatewayError):
                if self.ask("/status")["ready"]:
                    return
            time.sleep(0.05)
        log = (self.folder / "gateway.log").read_text(errors="replace")
        raise RuntimeError(f"the gateway is not ready:\n{log[-3000:]}")

    def settle(self, limit_s: float = 20.0) -> dict[str, Any]:
        """Wait until nothing is under way, at most ``limit_s``, and return the status."""
        until = time.monotonic() + limit_s
        status: dict[str, Any] = self.ask("/status")
        while time.monotonic() < until:
            time.sleep(0.5)
            before, status = status, self.ask("/status")
            due = sum(plugin["due"] for plugin in status["plugins"])
            same = all(before[part] == status[part] for part in ("messages", "outcomes"))
            if same and not (status["messages"]["in_hand"] or due or status["outcomes"]["queued"]):
                break
        return status

    def stop(self, name: str, number: int = signal.SIGTERM, limit_s: float = 12.0) -> int:
        """Send a signal and wait for the end; return the exit code."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(limit_s)
        finally:
            if process.poll() is None:
                process.kill()
            if process.stdout:
                process.stdout.close()

    def tree(self) -> dict[str, psutil.Process]:
        """Return the processes at work by a readable name."""
        found: dict[str, psutil.Process] = {}
        for name, process in self.processes.items():
            if process.poll() is not None:
                continue
            found[name] = parent = psutil.Process(process.pid)
            for child in parent.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    found[_name(name, child)] = child
        return found


class Mosquitto:
    """A Mosquitto that keeps in memory all that a gateway has not taken yet.

    Args:
        folder: For its configuration and log.
        program: Its path.
        kept: Where it keeps sessions as on an installed box; None: nowhere.
    """

    def __init__(self, folder: Path, program: str, kept: Path | None = None) -> None:
        self._folder = folder
        self._program = program
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        keeps = "false"
        if kept:  # as the one that started it, else root's becomes another
            user = getpass.getuser()
            keeps = f"true\npersistence_location {kept}/\nautosave_interval 300\nuser {user}"
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence {keeps}\n"
            "max_inflight_messages 2000\nmax_queued_messages 1000000\nset_tcp_nodelay true\n"
        )

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, unless it runs, and wait until it listens."""
        if self.process and self.process.poll() is None:
            return
        command = [self._program, "-c", str(self._folder / "mosquitto.conf")]
        with (self._folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        _await_listener(self.port)

    def save(self) -> None:
        """Have it write its sessions down, as an installed gateway does when it has started."""
        if self.process:
            self.process.send_signal(signal.SIGUSR1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait(5)


@contextlib.contextmanager
def mosquitto(folder: Path, program: str) -> Iterator[str]:
    """Run a Mosquitto for the time of the block; give its URL."""
    made = Mosquitto(folder, program)
    try:
        made.start()
        yield made.url
    finally:
        made.stop()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _await_listener(port: int) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nobody listens on {port}")


def _name(parent: str, child: psutil.Process) -> str:
    line = child.cmdline()
    if "gateway.inference.worker" in line:
        return "worker"
    if any("nats-server" in part for part in line):
        return "hub nats-server" if parent == "hub" else "leaf nats-server"
    return f"{parent} {child.name()} {child.pid}"


def _environment() -> dict[str, str]:
    """Return this one's, with modules compiled once as they are in an installation."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    compiled = Path(__file__).parents[1] / "build" / "compiled"
    return {"PYTHONPYCACHEPREFIX": str(compiled), **kept, "ORT_DISABLE_TELEMETRY": "1"}


@contextlib.contextmanager
def stand(folder: Path, hub_dir: Path | None = None) -> Iterator[Stand]:
    """Give a stand whose processes are stopped at the end of the block.

    Args:
        folder: Where everything lies.
        hub_dir: Where the hub keeps outcomes; default: below ``folder``.
    """
    made = Stand(folder, hub_dir or folder / "hub")
    try:
        yield made
    finally:
        with contextlib.ExitStack() as all_of_them:
            for name in ("hub", "leaf", "gateway"):
                if name in made.processes:
                    all_of_them.callback(made.stop, name)
