"""Which topics are a device's own: by its firmware profile, and by what its firmware listens to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.access.topics import compact, own_filters
from gateway.cli.profile_named import named
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.profiles.schema import ProfileFile

DEFAULT_PROFILE = "json"

_CAPTURES = re.compile(r"\$\{t\.(\w+)\}")


@dataclass(frozen=True, slots=True)
class Firmware:
    """What a profile does not say, for it decodes only.

    Attributes:
        own: Topics that are the device's own besides; commands come on these, too.
        reads: Topics that it listens to besides.
        instead: ``own`` are all: what the profile says is too much or nothing.
    """

    own: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    instead: bool = False


_FIRMWARE = {
    "tasmota": Firmware(
        tuple(f"{kind}/{{d}}/#" for kind in ("cmnd", "stat", "tele"))
        + tuple(f"{{d}}/{kind}/#" for kind in ("cmnd", "stat", "tele")),
        ("cmnd/tasmotas/#",),
        instead=True,
    ),
    "esphome": Firmware(("{d}/#",), instead=True),
    "shelly-gen1": Firmware(("shellies/{d}/#",), ("shellies/command",), instead=True),
    "shelly-gen2": Firmware(("{d}/#",), ("shellies/command",), instead=True),
    # Bridges speak for many devices and have a root of their own.
    "zigbee2mqtt": Firmware(("zigbee2mqtt/#",), instead=True),
    "zwave-js-ui": Firmware(("zwave/#",), instead=True),
    "sparkplug-b": Firmware(
        tuple(f"spBv1.0/+/{kind}/{{d}}" for kind in ("NBIRTH", "NDEATH", "NDATA", "NCMD"))
        + tuple(f"spBv1.0/+/{kind}/{{d}}/+" for kind in ("DBIRTH", "DDEATH", "DDATA", "DCMD")),
        ("spBv1.0/STATE/+", "STATE/+"),
        instead=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a device.

    Attributes:
        profile: The name of its profile.
        own: Filters that it may publish on and read.
        reads: Filters that it may only read.
        left_out: Patterns of its profile that do not tell its topics from others'.
    """

    profile: str
    own: tuple[str, ...]
    reads: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Dialect:
    """What devices of one firmware say, to be told apart by their names.

    Args:
        profile: A profile's name, folder or file.
        dirs: Folders of profiles.

    Raises:
        ConfigError: There is no such profile, or it cannot be used.
    """

    def __init__(self, profile: str, dirs: Sequence[Path]) -> None:
        file = named(profile, dirs)
        self.profile = file.parent.name
        self._firmware = _FIRMWARE.get(self.profile, Firmware())
        self._content = None if self._firmware.instead else _read(file)

    def topics_of(self, name: str) -> Topics:
        """Return a device's topics.

        Args:
            name: The device, as its topics have it.

        Raises:
            ConfigError: No topic is one device's alone.
        """
        own = [each.replace("{d}", name) for each in self._firmware.own]
        if self._content is None:
            return Topics(self.profile, tuple(own), self._firmware.reads)
        found = {
            pattern: own_filters(pattern, _capture(rule.device), name)
            for rule in self._content.rules
            for pattern in rule.topics
        }
        own += [each for filters in found.values() for each in filters]
        if not own:
            raise ConfigError([_no_topic(self.profile, self._content)])
        left_out = tuple(pattern for pattern, filters in found.items() if not filters)
        return Topics(self.profile, compact(own), self._firmware.reads, left_out)


def _read(file: Path) -> "ProfileFile":
    # Imported where a profile is read and no sooner: it takes longer than all else of the command.
    from gateway.profiles.files import read  # noqa: PLC0415

    content = read(file)
    if isinstance(content, list):
        raise ConfigError([str(problem) for problem in content])
    return content


def _capture(device: str) -> str:
    """Return the capture that a rule takes its device's name from, the first of several."""
    captures = _CAPTURES.findall(device)
    return str(captures[0]) if captures else "d"


def _no_topic(profile: str, content: "ProfileFile") -> str:
    """Say what to do with a profile of a bridge, whose topics do not tell one device's."""
    roots = {t.split("/")[0] for rule in content.rules for t in rule.topics}
    fixed = sorted(root for root in roots if root and "{" not in root)
    topics = " ".join(f"--topic '{root}/#'" for root in fixed[:3]) or "--topic FILTER"
    return f"profile {profile!r} names no topics of one device alone; say them: {topics}"
