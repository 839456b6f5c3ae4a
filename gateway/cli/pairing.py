"""What the pairing door heard, and what a device is told when it is accepted."""

import re
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.access.door import Visitor
from gateway.cli.device_lines import Entry, backlog, shelly_config
from gateway.errors import DecodeError
from gateway.profiles import Catalog
from gateway.profiles.nearest import Recognition
from gateway.topics import token

_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class Guess:
    """What a device at the door may be.

    Attributes:
        name: In its topics, else its client id.
        profile: Its firmware profile, "" where none comes near.
        sure: The profile claims a topic of it, and does not just come near.
    """

    name: str
    profile: str
    sure: bool


class Guesser:
    """Tells by its topics what a device is.

    Args:
        dirs: Folders of profiles.
        timezone: The site's.
    """

    def __init__(self, dirs: list[Path], timezone: str) -> None:
        self._catalog = Catalog.load(dirs, timezone)
        self._near = Recognition(self._catalog)

    def guess(self, visitor: Visitor) -> Guess:
        """Return the most likely name and profile."""
        other = visitor.connect.client_id or visitor.connect.user or visitor.address
        for topic in visitor.topics:
            try:
                claim = self._catalog.claim(topic)
            except DecodeError:
                continue
            if claim is not None and (named := claim.captures.get("d")):
                return Guess(_name(named), claim.profile, sure=True)
        for topic, payload in visitor.topics.items():
            for near in self._near.nearest(topic, payload, limit=1):
                return Guess(_name(other), near.profile, sure=False)
        return Guess(_name(other), "", sure=False)


def _name(text: str) -> str:
    return token(text)[:_NAME_CHARS].lstrip("-_.") or "device"


def settings_over_mqtt(visitor: Visitor, profile: str, entry: Entry) -> list[tuple[str, bytes]]:
    """Return the messages that give a device its settings; none where its firmware takes none.

    Tasmota takes commands on the first topic that it listens to, Shelly's second generation calls
    on ``<prefix>/rpc``. Others have their settings in a file or on a page.
    """
    if profile == "tasmota":
        for each in visitor.filters:
            if re.search(r"(^|/)cmnd/.*#$|/cmnd/#$", each):
                return [(f"{each[:-1]}Backlog", backlog(entry).encode())]
    if profile == "shelly-gen2":
        for each in visitor.filters:
            if each.endswith("/rpc"):
                calls: tuple[tuple[str, dict[str, object]], ...] = (
                    ("Mqtt.SetConfig", {"config": shelly_config(entry)}),
                    ("Shelly.Reboot", {}),
                )
                return [
                    (each, orjson.dumps({"id": i, "src": "weir", "method": m, "params": p}))
                    for i, (m, p) in enumerate(calls, 1)
                ]
    return []
