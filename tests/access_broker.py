"""The shipped mosquitto.conf with a real Mosquitto, on free ports of the loopback."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.access import broker, credentials
from gateway.access.authority import Authority
from gateway.access.register import Device, Register

CONFIG = Path(__file__).parents[1] / "packaging" / "mosquitto.conf"
HOSTS = ["localhost", "127.0.0.1"]


@dataclass
class Box:
    """A broker that runs on the files of access."""

    folder: Path
    ports: dict[int, int]
    process: subprocess.Popen[bytes]
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def register(self) -> Register:
        return Register(self.folder)

    @property
    def plain(self) -> int:
        return self.ports[1883]

    def add(self, name: str, own: tuple[str, ...] = (), reads: tuple[str, ...] = ()) -> str:
        """Let a device in; return its password."""
        self.passwords[name] = password = credentials.new_password()
        own = own or (() if reads else (f"tele/{name}/#",))
        self.register.add(Device(name, "", own, reads, credentials.hashed(password)))
        self.reload()
        return password

    def reload(self) -> None:
        """Have the broker read everything anew, and wait until it has."""
        log = self.folder / "log"
        before = log.read_text().count("Reloading config")
        assert broker.reload(self.folder)
        end = time.monotonic() + 5
        while log.read_text().count("Reloading config") == before:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.05)  # the line comes before it is done

    @property
    def gateway_password(self) -> str:
        return (self.folder / "gateway.password").read_text().strip()


class Client:
    """A device: what it got, and how its connection is."""

    def __init__(
        self, box: Box, user: str, password: str, client_id: str = "", **more: str
    ) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.code: str | None = None
        self.ended = 0
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id or user)
        if user:
            self.client.username_pw_set(user, password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = lambda _c, _u, m: self.got.append((m.topic, bytes(m.payload)))
        port = box.plain
        if "ca" in more:
            self.client.tls_set(ca_certs=more["ca"])
            port = box.ports[8883]
        self.client.reconnect_delay_set(30, 30)
        with suppress(OSError):
            self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait(lambda: self.code is not None or self.ended)

    def _on_connect(self, _c: object, _u: object, _f: object, code: object, _p: object) -> None:
        self.code = str(code)

    def _on_disconnect(self, *_: object) -> None:
        self.ended += 1

    def say(self, topic: str, payload: bytes = b"1", qos: int = 1) -> bool:
        """Publish; return whether it was acknowledged."""
        message = self.client.publish(topic, payload, qos)
        with suppress(RuntimeError, ValueError):
            message.wait_for_publish(2)
        return message.is_published()

    def hear(self, topic_filter: str) -> None:
        done: list[int] = []
        self.client.on_subscribe = lambda *_: done.append(1)
        self.client.subscribe(topic_filter, 1)
        wait(lambda: done)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def wait(holds: object, limit_s: float = 3.0) -> bool:
    """Wait until a function says yes; return whether it did."""
    end = time.monotonic() + limit_s
    while not holds():  # type: ignore[operator] # any function of no arguments
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def box(folder: Path, program: str) -> Iterator[Box]:
    """Run the broker in a folder."""
    folder.mkdir(exist_ok=True)
    register = Register(folder)
    register.render()
    (folder / "conf.d").mkdir(exist_ok=True)
    Authority(folder).prepare("box", HOSTS)
    ports = {port: free_port() for port in (1883, 8883, 8884)}
    text = CONFIG.read_text().replace("/var/lib/weir/mqtt", str(folder))
    for port, free in ports.items():
        text = text.replace(f"listener {port}\n", f"listener {free} 127.0.0.1\n")
    if os.geteuid() == 0:
        text += "user root\n"  # else it would go on as a user who may not write here
    config = folder / "mosquitto.conf"
    config.write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    try:
        made = Box(folder, ports, process)
        # It listens before it knows SIGHUP: one that came then would end it.
        assert wait(lambda: is_running(folder / "log"), 5), (folder / "log").read_text()
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def is_running(log: Path) -> bool:
    return " running" in log.read_text()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
