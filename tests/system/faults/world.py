"""A box with all its processes, devices before it and a hub behind it, any of which can be hurt."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.kill import config
from benchmarks.link import Link, link
from benchmarks.stand import Mosquitto, Stand, stand
from gateway.errors import GatewayError
from tests.system.faults.devices import Fleet
from tests.system.faults.disk import Volume
from tests.system.faults.witness import Witness

DEVICES = 40
RATE_HZ = 120.0
"""Each device has a window each second: 40 outcomes/s, one each 25 ms."""

_LEAF = """[leaf]
run = "%s"
store_bytes = 48000000
mqtt_store_bytes = 48000000
"""
_STATE_MB, _LEAF_MB = 320, 256
_START_S = 40.0
_PROCESS_S = 20.0


class WorldError(Exception):
    """Something of the box did not come back in time."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a box is made.

    Attributes:
        mosquitto: The program; "" for the embedded broker. With it the leaf is a unit of its own,
            as on an installed box.
        disks: The state directory and the leaf's are file systems of their own.
    """

    mosquitto: str = ""
    disks: bool = False

    @property
    def name(self) -> str:
        """Return a word for it."""
        return "mosquitto" if self.mosquitto else "embedded"


class World:
    """The processes and what connects them. Made by `world`."""

    def __init__(self, here: Stand, layout: Layout, broker: Mosquitto | None) -> None:
        self.here = here
        self.layout = layout
        self.broker = broker
        self.fleet = Fleet(DEVICES, RATE_HZ)
        self.witness = Witness()
        self.volumes: list[Volume] = []
        self.link: Link = None  # type: ignore[assignment] # set before anyone gets a world
        self.stopped: list[psutil.Process] = []
        self._is_new = False
        self.hurt_ns = 0  # when a fault began last

    def ask(self, what: str, body: str | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Ask the gateway."""
        return self.here.ask(what, body)

    def start_box(self) -> None:
        """Start what a box starts when it boots."""
        if self.broker:
            self.broker.start()
            self.here.start_leaf()
        self.start_gateway()

    def start_gateway(self) -> None:
        """Start the gateway, and do not wait for it."""
        self.here.start_gateway(wait=False)
        self._is_new = True

    def await_ready(self) -> dict[str, Any]:
        """Wait until the gateway serves devices and return its status.

        Raises:
            WorldError: It does not.
        """
        said: dict[str, Any] = {}

        def ready() -> bool:
            with suppress(GatewayError):
                said.update(self.ask("/status"))
            return bool(said.get("ready"))

        self.wait("the gateway to be ready", ready, _START_S)
        if self.broker and self._is_new:
            self.broker.save()  # as its unit does
        self._is_new = False
        return said

    def wait(self, what: str, done: Callable[[], object], limit_s: float = _PROCESS_S) -> None:
        """Wait until something is so; a gateway that ended meanwhile is started, as systemd does.

        Raises:
            WorldError: It is not in time.
        """
        until = time.monotonic() + limit_s
        while not done():
            self.keep_running()
            if time.monotonic() > until:
                raise WorldError(f"waited {limit_s:.0f} s for {what}")
            time.sleep(0.02)

    def keep_running(self) -> None:
        """Start again what ended by itself; what was killed here is not in the list any more."""
        for name, start in (("leaf", self.here.start_leaf), ("gateway", self.start_gateway)):
            process = self.here.processes.get(name)
            if process and process.poll() is not None:
                time.sleep(0.1)
                start()

    def process(self, name: str) -> psutil.Process | None:
        """Return a process by the stand's name for it, as soon as there is one.

        Returns:
            None if who runs it has been killed too.

        Raises:
            WorldError: There is none.
        """
        owner = "leaf" if self.broker and name != "worker" else "gateway"
        if name not in {"leaf", "gateway"} and owner not in self.here.processes:
            return None
        found: dict[str, psutil.Process] = {}

        def there() -> bool:
            with suppress(psutil.Error):
                found.update(self.here.tree())
            return name in found

        self.wait(name, there)
        return found[name]

    def kill(self, name: str) -> None:
        """Kill a process of ours with SIGKILL; it is not started again by itself."""
        with suppress(KeyError):
            self.hurt_ns = time.time_ns()
            self.here.stop(name, signal.SIGKILL)

    def kill_hub(self) -> None:
        """Kill the hub and its server."""
        self._kill_all(self.family("hub"))
        self.kill("hub")

    def family(self, *names: str) -> list[psutil.Process]:
        """Return processes that were started here, with their children, the parents first."""
        found: list[psutil.Process] = []
        for name in names:
            process = self.here.processes.get(name)
            with suppress(psutil.Error):
                if process and process.poll() is None:
                    parent = psutil.Process(process.pid)
                    found += [parent, *parent.children(recursive=True)]
        return found

    def box(self) -> list[psutil.Process]:
        """Return all processes of the box."""
        found = self.family("gateway", "leaf")
        if self.broker and self.broker.process and self.broker.process.poll() is None:
            found.append(psutil.Process(self.broker.process.pid))
        return found

    def kill_box(self, *, all_of_it: bool = True) -> None:
        """End everything on the box at once, or all but Mosquitto."""
        processes = self.box() if all_of_it else self.family("gateway", "leaf")
        self._kill_all(processes)
        for name in ("gateway", "leaf"):
            self.kill(name)
        if all_of_it and self.broker and self.broker.process:
            self.broker.process.wait(5)
        psutil.wait_procs(processes, 5)

    def _kill_all(self, processes: list[psutil.Process]) -> None:
        self.hurt_ns = time.time_ns()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def cut_power(self) -> None:
        """Take everything from the box at once, and what no disk had with it."""
        processes = self.box()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGSTOP)
        for volume in self.volumes:
            volume.cut_power()
        self.kill_box()
        self.remount()

    def remount(self) -> None:
        """Mount the box's file systems again; nobody may be using them."""
        for volume in reversed(self.volumes):
            volume.unmount()
        for volume in self.volumes:
            volume.mount()

    def keep_evidence(self, folder: Path) -> None:
        """Copy logs and the state directory, as they are now."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in self.here.folder.glob("*.log"):
            shutil.copy(log, folder)
        shutil.copytree(
            self.here.state_dir,
            folder / "state",
            ignore=shutil.ignore_patterns("*.sock", "filled"),
            dirs_exist_ok=True,
        )


@contextmanager
def world(folder: Path, layout: Layout) -> Iterator[World]:
    """Give a box at work, with silent devices."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        here = stack.enter_context(stand(folder))
        broker = None
        if layout.mosquitto:
            broker = Mosquitto(folder, layout.mosquitto, here.state_dir / "mqtt")
        made = World(here, layout, broker)
        if layout.disks:
            _mount(made, stack)
        (here.state_dir / "mqtt").mkdir(parents=True, exist_ok=True)
        here.start_hub()
        where = urlsplit(here.leaf_url)
        made.link = stack.enter_context(link((str(where.hostname), int(where.port or 0))))
        text = config(
            broker.url if broker else "embedded", f"nats-leaf://127.0.0.1:{made.link.port}"
        )
        text = text.replace("[leaf]\n", _LEAF % ("unit" if broker else "here"))
        here.write_config(text.replace('"warning"', '"info"'))
        stack.callback(made.kill_box)  # before the file systems go
        made.start_box()
        made.await_ready()
        stack.callback(made.witness.close)
        made.witness.start(here.hub_url)
        stack.callback(made.fleet.close)
        made.fleet.start(here.broker())
        yield made


def _mount(made: World, stack: ExitStack) -> None:
    folder, state = made.here.folder, made.here.state_dir
    for image, at, size_mb in (
        ("state.img", state, _STATE_MB),
        ("leaf.img", state / "leaf", _LEAF_MB),
    ):
        volume = Volume(folder / image, at, size_mb)
        volume.make()
        stack.callback(volume.unmount)
        made.volumes.append(volume)
