"""Where the parts of a gateway reach its leaf, whoever runs it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.config import Settings
from gateway.errors import LeafError
from gateway.leaf.edge import USERS, EdgePorts, leaf_dir

PORTS_FILE = "ports.json"
PASSWORDS_FILE = "passwords.json"

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - to compare with


class MqttAddress(NamedTuple):
    """Where the gateway itself connects to the embedded broker."""

    host: str
    port: int
    username: str
    password: str


class Addresses(NamedTuple):
    """The ports of a leaf and the passwords of its users.

    Attributes:
        mqtt_host: Where the embedded broker listens, as configured.
        ports: As chosen.
        passwords: One for each of `USERS`.
    """

    mqtt_host: str
    ports: EdgePorts
    passwords: Mapping[str, str]

    @property
    def uplink_url(self) -> str:
        """Return where the outbox and the forwarder connect (account UP). Holds a password."""
        return self._url("up")

    @property
    def local_url(self) -> str:
        """Return where NATS clients of this box reach the devices' account (user ``ingest``)."""
        return self._url("ingest")

    @property
    def mqtt(self) -> MqttAddress | None:
        """Return where ingest connects, or None when the devices have another broker."""
        if self.ports.mqtt is None:
            return None
        host = _ANYWHERE.get(self.mqtt_host, self.mqtt_host)
        return MqttAddress(host, self.ports.mqtt, "ingest", self.passwords["ingest"])

    def _url(self, user: str) -> str:
        return f"nats://{user}:{self.passwords[user]}@127.0.0.1:{self.ports.client}"


def read_addresses(settings: Settings) -> Addresses:
    """Return the addresses of the leaf that another process runs on this state directory.

    Raises:
        LeafError: None was ever started there, its files may not be read, or it was started with
            another broker in its configuration.
    """
    directory = leaf_dir(settings)
    ports = _read(directory / PORTS_FILE)
    passwords = _read(directory / PASSWORDS_FILE)
    embedded = settings.mqtt.broker == "embedded"
    try:
        chosen = EdgePorts(
            int(ports["client"]), int(ports["monitor"]), int(ports["mqtt"]) if embedded else None
        )
        return Addresses(settings.mqtt.host, chosen, {u: str(passwords[u]) for u in USERS})
    except (KeyError, ValueError, TypeError) as exc:
        raise LeafError(
            f"the leaf in {directory} runs with another configuration; restart it"
        ) from exc


def _read(file: Path) -> Mapping[str, str | int]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise LeafError(f"no leaf was started on {file.parent} yet") from exc
    except (OSError, ValueError) as exc:
        raise LeafError(f"{file}: not readable: {exc}") from exc
    return found if isinstance(found, dict) else {}
