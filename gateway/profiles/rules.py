"""Rules and profiles, compiled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from gateway.errors import UnclaimedError
from gateway.model import Decoded, Flaw, RawMessage, Reading
from gateway.profiles.codecs import Codec
from gateway.profiles.codecs.plain import utf8
from gateway.profiles.codecs.structured import JsonOptions
from gateway.profiles.emit import compile_clock, compile_steps, device_name
from gateway.profiles.expressions import Evaluate, expression, text_or_expression, topic_only
from gateway.profiles.memory import Memory
from gateway.profiles.message import Message, Run
from gateway.profiles.patterns import TopicPattern, topic_pattern
from gateway.profiles.schema import (
    AnyStep,
    DecodeStep,
    EachStep,
    LearnStep,
    ProfileFile,
    Rule,
    Treatment,
)
from gateway.profiles.times import Clock
from gateway.profiles.treatments import globs

_LONGEST_SILENCE_S = 1e9


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule of a profile.

    Attributes:
        profile: The profile's name.
        number: Which of its rules it is, from 1.
        priority: The profile's.
        patterns: Topics that it takes.
        excluded: Topics that it leaves alone.
    """

    profile: str
    number: int
    priority: int
    patterns: tuple[TopicPattern, ...]
    excluded: tuple[TopicPattern, ...]
    _codec: Codec
    _device: str | Evaluate
    _device_by_topic: bool
    _clock: Clock | None
    _steps: list[Run]
    _memory: Memory | None
    _teaches: bool
    _keeps_retained: bool
    _parent: str | Evaluate | None
    _expires_s: float | Evaluate | None
    _parts: str
    _plain: bool  # says nothing but readings and waveforms, as most do

    def match(self, topic: str) -> tuple[str, dict[str, str]] | None:
        """Return which pattern takes a topic, as written, and its captures."""
        for pattern in self.patterns:
            captures = pattern.match(topic)
            if captures is not None:
                taken = not any(e.match(topic) is not None for e in self.excluded)
                return (pattern.text, captures) if taken else None
        return None

    def device_of_topic(self, captures: Mapping[str, str]) -> str | None:
        """Return the device where the topic alone says it, else None.

        Raises:
            DecodeError: What the topic says cannot be a device's name.
        """
        if isinstance(self._device, str):
            return device_name(self._device)
        return device_name(self._device({"t": captures})) if self._device_by_topic else None

    def decode(
        self, message: RawMessage, captures: Mapping[str, str], device: str | None
    ) -> Decoded:
        """Decode a message that this rule takes.

        Args:
            message: The message.
            captures: What its topic's captures hold.
            device: Its device, if the topic says it.

        Raises:
            DecodeError: The payload is not what the rule expects.
        """
        envelope = {"t": captures, "p": self._codec(message)}
        if device is None:
            device = device_name(self._device(envelope) if callable(self._device) else None)
        received_ns = message.received_ns
        time_ns = None if self._clock is None else self._clock(envelope, received_ns)
        found = Message(message, envelope, device, time_ns, self._memory)
        if self._teaches:
            found.lessons = []
        for step in self._steps:
            step(found)
        if self._memory is not None:
            self._use_memory(self._memory, found)
        readings = found.readings
        if message.retained and not self._keeps_retained:
            readings = [r for r in readings if r.own_time or r.metric.startswith("$")]
        if self._plain and found.parents is None and not (found.requests or found.pictures):
            return Decoded(self.profile, device, readings, found.waveforms)
        return self._placed(found, device, readings)

    def _use_memory(self, memory: Memory, found: Message) -> None:
        if found.lessons is not None:
            memory.teach(found.topic, found.lessons)
        if memory.facts:
            memory.apply(found.readings)

    def _placed(self, found: Message, device: str, readings: list[Reading]) -> Decoded:
        """Return what was decoded with what is said of parent and silence, and what was not."""
        found.device = device
        if self._parent is not None:
            parent = self._parent if isinstance(self._parent, str) else self._parent(found.envelope)
            found.note_parent(parent)
        expires = self._expires_s
        said = expires(found.envelope) if callable(expires) else expires
        expires_s = None
        if isinstance(said, int | float) and 0 < said < _LONGEST_SILENCE_S:
            expires_s = float(said)
        return Decoded(
            self.profile,
            device,
            readings,
            found.waveforms,
            found.parents,
            expires_s,
            found.requests,
            _flaw(found.envelope["p"], self._parts) if self._parts else None,
            found.pictures,
        )


def _flaw(payload: Mapping[str, Any], parts: str) -> Flaw | None:
    """Return what a codec has left out."""
    bad = payload["bad"]
    if not bad:
        return None
    why = payload.get("why", "malformed")
    return Flaw(bad, f"{bad} of {bad + len(payload[parts])} {parts}: {why}")


@dataclass(frozen=True, slots=True)
class LearnedRule:
    """The topics that a profile's messages have told of; they need no rule.

    Attributes:
        profile: The profile's name.
        memory: What they have told.
        priority: The profile's.
        number: 0.
        patterns: None.
    """

    profile: str
    memory: Memory
    priority: int
    _keeps_retained: bool
    number: int = 0
    patterns: tuple[TopicPattern, ...] = ()

    def match(self, topic: str) -> tuple[str, dict[str, str]] | None:
        """Return the topic, if it was told of, and no captures."""
        return (topic, {}) if topic in self.memory.places else None

    def device_of_topic(self, _: Mapping[str, str]) -> None:
        """Return None: a topic may hold values of several devices."""

    def decode(self, message: RawMessage, _: Mapping[str, str], __: str | None) -> Decoded:
        """Decode a message on a topic that was told of.

        Raises:
            DecodeError: It is not JSON where a value is looked for within it; not UTF-8.
            UnclaimedError: It is not told of any more.
        """
        places = self.memory.places.get(message.topic)
        if not places:
            raise UnclaimedError(message.topic[:200])
        text = utf8(message.payload)
        document = _JSON(message) if any(t.path is not None for t in places.values()) else None
        readings = []
        for (device, metric), place in places.items():
            raw = place.value(text if place.path is None else document)
            known = None
            if raw is not None:
                known = self.memory.reading(message.topic, device, metric, raw)
            if known is not None and (self._keeps_retained or not message.retained):
                readings.append(Reading(device, metric, *known, message.received_ns))
        return Decoded(self.profile, next(iter(places))[0], readings, [])


_JSON = JsonOptions().build()

TopicRule = CompiledRule | LearnedRule


def compile_rules(name: str, profile: ProfileFile, zone: tzinfo) -> list[TopicRule]:
    """Compile a profile's rules; what could be wrong was found when the file was checked."""
    taught = [step for rule in profile.rules for step in _lessons(rule.emit)]
    memory = Memory(_scaled(profile)) if taught else None
    rules: list[TopicRule] = [
        _rule(name, i, rule, profile, zone=zone, memory=memory)
        for i, rule in enumerate(profile.rules, start=1)
    ]
    if memory is not None and any(step.topic is not None for step in taught):
        rules.append(LearnedRule(name, memory, profile.priority, profile.retained == "state"))
    return rules


def _lessons(steps: Sequence[AnyStep]) -> list[LearnStep]:
    """Return the steps that teach, however deep."""
    found: list[LearnStep] = []
    for step in steps:
        if isinstance(step, LearnStep):
            found.append(step)
        elif isinstance(step, EachStep | DecodeStep):
            found += _lessons(step.emit)
    return found


def _scaled(profile: ProfileFile) -> Callable[[str], object]:
    """Return what says whether a unit table converts a metric's values."""
    tables = [profile.units, *(rule.units for rule in profile.rules)]
    rows = [row for table in tables for row in table]
    return globs([g for g, row in rows if isinstance(row, Treatment) and row.scale != 1.0])


def _rule(
    name: str,
    number: int,
    rule: Rule,
    profile: ProfileFile,
    *,
    zone: tzinfo,
    memory: Memory | None,
) -> CompiledRule:
    return CompiledRule(
        profile=name,
        number=number,
        priority=profile.priority,
        patterns=tuple(topic_pattern(text) for text in rule.topics),
        excluded=tuple(topic_pattern(text) for text in rule.exclude),
        _codec=rule.codec.build(),
        _device=text_or_expression(rule.device),
        _device_by_topic=topic_only(rule.device),
        _clock=compile_clock(rule.ts, zone),
        _steps=compile_steps(rule.emit, [rule.units, profile.units], zone),
        _memory=memory,
        _teaches=bool(_lessons(rule.emit)),
        _keeps_retained=(rule.retained or profile.retained) == "state",
        _parent=None if rule.parent is None else text_or_expression(rule.parent),
        _expires_s=expression(rule.expires) if isinstance(rule.expires, str) else rule.expires,
        _parts=rule.codec.parts,
        _plain=rule.parent is None and rule.expires is None and not rule.codec.parts,
    )
