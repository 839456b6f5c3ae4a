"""An edge and a hub of nats-server for the tests of outcomes: two accounts and a leaf link."""

import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from gateway.model import Outcome, OutcomeContext, Packet, PluginIdentity, Rank, Result
from gateway.outcomes.link import LinkError, ask, connection
from gateway.outcomes.packet import encode

GATEWAY = "gw-01"
WAIT_S = 10.0

_HUB = """
server_name: hub
listen: 127.0.0.1:{port}
jetstream {{ store_dir: "{folder}/hub", domain: hub, sync_interval: always }}
accounts {{ FLEET {{ jetstream: enabled, users: [ {{ user: admin, password: a }} ] }} }}
leafnodes {{
  listen: 127.0.0.1:{leaf_port}, no_advertise: true
  authorization {{ user: gw, password: g, account: FLEET }}
}}
"""

_EDGE = """
server_name: gw-01
listen: 127.0.0.1:{port}
jetstream {{
  store_dir: "{folder}/edge", domain: gw-01, sync_interval: always, max_file: 256M, max_mem: 64M
}}
accounts {{
  LOCAL {{ users: [ {{ user: proc, password: p }} ] }}
  UP {{ jetstream: {{ max_file: 128M, max_mem: 16M }}, users: [ {{ user: up, password: u }} ] }}
}}
leafnodes {{
  reconnect: "500ms"
  remotes: [ {{
    url: "nats-leaf://gw:g@127.0.0.1:{leaf_port}", account: UP, ignore_discovered_servers: true
    deny_exports: [
      "outq.>", "$JS.ACK.OUTQ.>", "$JS.EVENT.>", "_INBOX.>", "$MQTT.>", "$KV.>", "$O.>"
    ]
    deny_imports: [ "outq.>", "$MQTT.>", "$JS.gw-01.API.>" ]
  }} ]
}}
"""


@dataclass
class Server:
    """A nats-server that can be killed and started again on the same port and store."""

    config: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = Path(sysconfig.get_path("scripts")) / "nats-server"
        with self.config.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary, "-c", self.config], stdout=log, stderr=subprocess.STDOUT
            )
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(self.config.with_suffix(".log").read_text())

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Site:
    """Where everything is.

    Attributes:
        edge, hub: The servers; the hub is not started yet.
        leaf_url: The edge's account UP.
        hub_url: The hub's account with JetStream.
    """

    edge: Server
    hub: Server
    leaf_url: str = field(init=False)
    hub_url: str = field(init=False)

    def __post_init__(self) -> None:
        self.leaf_url = f"nats://up:u@127.0.0.1:{self.edge.port}"
        self.hub_url = f"nats://admin:a@127.0.0.1:{self.hub.port}"

    async def start_hub(self, *, atomic: bool = True, subject: str = "outcomes.>") -> None:
        """Start the hub and make its stream OUTCOMES."""
        self.hub.start()
        await self.make_stream(atomic=atomic, subject=subject)

    async def make_stream(self, *, atomic: bool = True, subject: str = "outcomes.>") -> None:
        """Make the stream OUTCOMES at a hub that is up; one that is there stays."""
        async with connection(self.hub_url, "", "test") as client:
            config = {
                "name": "OUTCOMES",
                "subjects": [subject],
                "storage": "file",
                "duplicate_window": 120_000_000_000,
                "allow_atomic": atomic,
                "allow_direct": True,
            }
            try:
                await ask(client, "$JS.API.STREAM.CREATE.OUTCOMES", config, 5.0)
            except LinkError as exc:
                if exc.err_code != 10058:
                    raise


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Start an edge; the hub's configuration is there, but the hub is away."""
    ports = _free_ports(3)
    servers = []
    for name, text, port in (("edge", _EDGE, ports[0]), ("hub", _HUB, ports[1])):
        config = folder / f"{name}.conf"
        config.write_text(text.format(port=port, leaf_port=ports[2], folder=folder))
        servers.append(Server(config, port))
    made = Site(*servers)
    made.edge.start()
    try:
        yield made
    finally:
        made.edge.kill()
        made.hub.kill()


def packet(number: int, source: str = "pump-1", rank: Rank = "routine") -> Packet:
    """Return a packet that tells its number as its score."""
    return encode(
        Outcome(
            gateway=GATEWAY,
            source=source,
            context=OutcomeContext("machine", "pump", "anomaly"),
            plugin=PluginIdentity("machine-anomaly", "1.0.0", "ab" * 32),
            quantities=(("power", "W"), ("temperature", "°C")),
            start_ns=number * 10**9,
            end_ns=(number + 1) * 10**9,
            result=Result("anomaly", float(number), 0.9, {"vibration_rms": 1.234}),
            received_ns=time.time_ns(),
            rank=rank,
        )
    )


def packets(count: int, sources: int = 5, first: int = 0) -> list[Packet]:
    """Return packets of several sources in turn, numbered throughout."""
    return [packet(n, f"pump-{n % sources}") for n in range(first, first + count)]


async def at_hub(url: str) -> list[tuple[str, str, int]]:
    """Return (id, source, number) of every message in the hub's stream, in its order."""
    found: list[tuple[str, str, int]] = []
    async with connection(url, "", "test") as client:
        state = (await ask(client, "$JS.API.STREAM.INFO.OUTCOMES", None, 5.0))["state"]
        pull = await client.jetstream().pull_subscribe("outcomes.>", stream="OUTCOMES")
        while len(found) < state["messages"]:
            for message in await pull.fetch(min(500, state["messages"] - len(found)), 5.0):
                content = orjson.loads(message.data)
                found.append((content["id"], content["src"], content["score"]))
                await message.ack()
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
