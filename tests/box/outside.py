"""What stands around a box: a hub, devices that speak MQTT, a camera."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import nats
from nats.errors import Error as NatsError
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from benchmarks.truth import Told, at_hub
from tests.box.machine import wait

_HUB_START_S = 20.0


class Hub:
    """`weir hub` on this machine, as a user would start it.

    Args:
        folder: Where it keeps what arrives.
        host: Where it listens.
        seen_as: Its address as boxes reach it, when that is another one.
    """

    def __init__(self, folder: Path, host: str, seen_as: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "hub", "--dir", str(folder), "--host", host,
             "--client-port", "0", "--leaf-port", "0", "--mqtt-port", "0", "--json"],
            stdout=subprocess.PIPE, start_new_session=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.url: str = said["url"]
        self.leaf_url: str = said["leaf_url"].replace(host, seen_as or host)

    def told(self) -> list[Told]:
        """Return everything that has arrived, in its order."""
        return asyncio.run(at_hub(self.url))

    def count(self) -> int:
        """Return how many outcomes have arrived."""
        return asyncio.run(self._count())

    def await_more(self, than: int, limit_s: float) -> float:
        """Wait until more have arrived, and return how many seconds that took."""
        return wait("an outcome at the hub", lambda: self.count() > than, limit_s, 0.05)

    async def _count(self) -> int:
        with contextlib.suppress(NatsError, OSError):
            client = await nats.connect(self.url, connect_timeout=2, allow_reconnect=False)
            try:
                return (await client.jetstream().stream_info("OUTCOMES")).state.messages
            finally:
                await client.close()
        return 0

    def stop(self) -> None:
        """Stop it in order."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_HUB_START_S)
        if self._process.stdout:
            self._process.stdout.close()


class Device:
    """A device with a session at the broker, which sends again what was not acknowledged.

    Args:
        name: Its user, its client id and its name in ``sensors/<name>``.
        password: As the box gave it.
        address: Of the box.
    """

    def __init__(self, name: str, password: str, address: tuple[str, int]) -> None:
        self.name = name
        self.sent = 0
        self.acked: set[int] = set()
        self.connections = 0
        self.refused: Counter[str] = Counter()
        self._under_way: dict[int, int] = {}
        self._lock = threading.Lock()
        client = self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=False
        )
        client.username_pw_set(name, password)
        client.reconnect_delay_set(1, 1)
        client.max_queued_messages_set(0)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.connect_async(*address, keepalive=20)
        client.loop_start()

    def send(self) -> None:
        """Publish the next reading at QoS 1; without a connection it waits in the device."""
        with self._lock:
            number, self.sent = self.sent, self.sent + 1
            content = {"ts": time.time_ns(), "seq": number, "current": 4.0 + number % 7 / 10,
                       "vibration": 1.8 + number % 5 / 10, "temperature": 48.0}  # fmt: skip
            info = self._client.publish(f"sensors/{self.name}", json.dumps(content), qos=1)
            self._under_way[info.mid] = number

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _: Client, __: object, ___: ConnectFlags, code: ReasonCode, ____: Properties | None
    ) -> None:
        if code.is_failure:
            self.refused[str(code)] += 1
        else:
            self.connections += 1

    def _on_publish(
        self, _: Client, __: object, mid: int, ___: ReasonCode, ____: Properties | None
    ) -> None:
        with self._lock:
            if mid in self._under_way:
                self.acked.add(self._under_way.pop(mid))


class Plant:
    """Devices that send in turns until they are stopped.

    Args:
        passwords: Of each device.
        address: Of the box.
        every_s: Time between two readings of one device.
    """

    def __init__(
        self, passwords: Mapping[str, str], address: tuple[str, int], every_s: float
    ) -> None:
        self.devices = [Device(name, word, address) for name, word in passwords.items()]
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        for device in self.devices:
            device.close()

    @property
    def sent(self) -> int:
        """Return how many readings the devices had."""
        return sum(device.sent for device in self.devices)

    @property
    def acked(self) -> int:
        """Return how many of them the box has taken over."""
        return sum(len(device.acked) for device in self.devices)

    def finish(self, limit_s: float) -> None:
        """Stop sending and wait until everything is acknowledged."""
        self._stopped.set()
        self._thread.join()
        wait("acknowledgements", lambda: self.acked == self.sent, limit_s)

    def _send(self) -> None:
        next_s = time.monotonic()
        while True:
            for device in self.devices:
                next_s += self._every_s / len(self.devices)
                if self._stopped.wait(max(0.0, next_s - time.monotonic())):
                    return
                device.send()
