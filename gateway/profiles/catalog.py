"""All firmware profiles, ready to decode."""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from jmespath.exceptions import JMESPathError

from gateway.errors import DecodeError, ProfileError, UnclaimedError
from gateway.model import Decoded, RawMessage
from gateway.profiles import files, folders
from gateway.profiles.claims import Claims
from gateway.profiles.rules import LearnedRule, TopicRule, compile_rules
from gateway.profiles.schema import ProfileFile
from gateway.profiles.times import site_zone
from gateway.topics import smallest_cover

# What an expression can run into with a payload that is not what its author thought of.
_MISFITS = (
    JMESPathError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError, re.error, struct.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """What a list of profiles shows.

    Attributes:
        name: The folder's name.
        title: The firmware's name.
        priority: Lower ones are asked first.
        rules: The topic patterns of each rule, in their order.
        file: Where it was read.
        docs: Where the firmware's maker says what it publishes.
    """

    name: str
    title: str
    priority: int
    rules: tuple[tuple[str, ...], ...]
    file: Path
    docs: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Which rule takes a topic.

    Attributes:
        profile: The profile's name.
        rule: Which of its rules, from 1.
        pattern: The pattern that matched.
        captures: What it captured.
    """

    profile: str
    rule: int
    pattern: str
    captures: Mapping[str, str]


class LoadedProfile(NamedTuple):
    """A profile as it was read.

    Attributes:
        name: The folder's name.
        file: Where it was read.
        content: What it says.
        stamp: Time of the file's change (Unix ns) and its size.
    """

    name: str
    file: Path
    content: ProfileFile
    stamp: tuple[int, int]


class Catalog:
    """The profiles of some folders, compiled.

    Attributes:
        profiles: Those in use, in the order in which they are asked.
        rejected: What is wrong with those that were set aside.
        loaded: The profiles as they were read, by name.
        rules: Their compiled rules, by name.
        zone: Of devices that tell local time.
    """

    def __init__(
        self,
        profiles: Sequence[LoadedProfile],
        rejected: list[ProfileError],
        zone: tzinfo,
        before: "Catalog | None" = None,
    ) -> None:
        self.profiles = [_info(each) for each in profiles]
        self.rejected = rejected
        self.loaded = {each.name: each for each in profiles}
        self.zone = zone
        self.rules = {each.name: self._compile(each, before) for each in profiles}
        rules = [rule for found in self.rules.values() for rule in found]
        self._filters = _filters(rules)
        self._memories = [rule.memory for rule in rules if isinstance(rule, LearnedRule)]
        self._claims = Claims(rules)
        if before is None:
            self.attend()

    def attend(self) -> None:
        """Follow what the profiles learn; one that takes another's place calls it when it does."""
        self._claims.attend()

    @classmethod
    def load(
        cls, dirs: Sequence[Path], timezone: str, before: "Catalog | None" = None
    ) -> "Catalog":
        """Read and compile all profiles.

        Args:
            dirs: Folders of profile folders; a later one's profile replaces an earlier one's of
                the same name, unless it is bad. A missing folder is passed over.
            timezone: IANA name of the zone of devices that tell local time.
            before: What was in use: profiles that are the same go on with what they have learned,
                and one that became bad stays as it was.

        Raises:
            ConfigError: There is no such time zone.
        """
        zone = site_zone(timezone)
        rejected: list[ProfileError] = []
        known = {} if before is None else {p.file: p for p in before.loaded.values()}
        found = [
            _last_good(name, candidates, rejected, known)
            for name, candidates in folders.find(dirs).items()
        ]
        good = [each for each in found if each is not None]
        good.sort(key=lambda each: (each.content.priority, each.name))
        return cls(good, rejected, zone, before)

    def fresh(self) -> "Catalog":
        """Return the same profiles, knowing nothing of any message."""
        return Catalog(list(self.loaded.values()), self.rejected, self.zone)

    def _compile(self, profile: LoadedProfile, before: "Catalog | None") -> list[TopicRule]:
        """Compile a profile, or take what was compiled: its codecs and memory go on."""
        if before is not None and profile.name in before.loaded and before.zone == self.zone:
            was = before.loaded[profile.name]
            if was.content == profile.content:
                return before.rules[profile.name]
        return compile_rules(profile.name, profile.content, self.zone)

    @property
    def filters(self) -> list[str]:
        """Return MQTT filters that let through every topic that a rule takes or that was told of.

        No topic is let through twice.
        """
        told = [topic for memory in self._memories for topic in memory.places]
        return _cover([*self._filters, *told]) if told else self._filters

    def decode(self, message: RawMessage) -> Decoded:
        """Return what a message says.

        Raises:
            UnclaimedError: No rule takes its topic.
            DecodeError: A rule does, and cannot decode it. Nothing else is ever raised.
        """
        profile = ""
        try:
            rule, _, captures, device, unit = self._claims.of(message.topic)
            if rule is None:
                raise UnclaimedError(message.topic[:200])
            profile = rule.profile
            decoded = rule.decode(message, captures, device)
        except DecodeError as exc:
            exc.profile = exc.profile or profile
            raise
        except _MISFITS as exc:
            raise DecodeError("bad_shape", f"{type(exc).__name__}: {exc}"[:200], profile) from exc
        if unit is not None:
            _put_unit(decoded, unit)
        return decoded

    def device_of(self, topic: str) -> str | None:
        """Return the device that a topic alone names; None where its messages say it, or nobody."""
        try:
            return self._claims.of(topic).device
        except DecodeError:
            return None

    @property
    def overlaps(self) -> dict[tuple[str, str], str]:
        """Return two profiles of one priority and a topic seen that both claim, each time.

        The first of the two takes it.
        """
        return self._claims.overlaps

    def claims(self, topic: str) -> list[Claim]:
        """Return all rules whose pattern a topic fits, in the order in which they are asked."""
        return [
            Claim(rule.profile, rule.number, pattern, {})
            for rule, pattern in self._claims.all_of(topic)
        ]

    def profile(self, name: str) -> ProfileFile:
        """Return what a profile says.

        Raises:
            KeyError: There is none of that name.
        """
        return self.loaded[name].content

    def claim(self, topic: str) -> Claim | None:
        """Return which rule takes a topic, None when none does.

        Raises:
            DecodeError: A rule does, and the topic cannot give its device a name.
        """
        rule, pattern, captures, *_ = self._claims.of(topic)
        return None if rule is None else Claim(rule.profile, rule.number, pattern, dict(captures))


def _put_unit(decoded: Decoded, unit: str) -> None:
    """Give a single reading without a unit the one that discovery tells of its topic."""
    if len(decoded.readings) == 1 and decoded.readings[0].unit is None:
        [reading] = decoded.readings
        if type(reading.value) in {int, float} and not reading.metric.startswith("$"):
            decoded.readings[0] = reading._replace(unit=unit)


def _last_good(
    name: str,
    candidates: list[Path],
    rejected: list[ProfileError],
    known: Mapping[Path, LoadedProfile],
) -> LoadedProfile | None:
    """Return the last of a profile's files that can be used; note what is wrong with later ones.

    A file that was good when it was last read counts as it was then.
    """
    for file in reversed(candidates):
        was = known.get(file)
        stamp = _stamp(file)
        if was is not None and was.stamp == stamp:
            return was
        found = files.read(file)
        if isinstance(found, ProfileFile):
            return LoadedProfile(name, file, found, stamp)
        rejected += found
        if was is not None:
            return was
    return None


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _info(loaded: LoadedProfile) -> ProfileInfo:
    profile = loaded.content
    rules = tuple(rule.topics for rule in profile.rules)
    return ProfileInfo(
        loaded.name, profile.title, profile.priority, rules, loaded.file, profile.docs
    )


def _filters(rules: Sequence[TopicRule]) -> list[str]:
    return _cover([pattern.mqtt_filter for rule in rules for pattern in rule.patterns])


def _cover(found: list[str]) -> list[str]:
    # A wildcard in front does not reach topics that begin with $ (MQTT 5.0, 4.7.2).
    system = [f for f in found if f.startswith("$")]
    return smallest_cover([f for f in found if f not in system]) + smallest_cover(system)
