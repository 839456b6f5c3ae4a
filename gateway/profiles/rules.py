"""Rules and profiles, compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from gateway.model import Decoded, RawMessage
from gateway.profiles.codecs import Codec
from gateway.profiles.emit import compile_clock, compile_steps, device_name
from gateway.profiles.expressions import Evaluate, text_or_expression, topic_only
from gateway.profiles.message import Message, Run
from gateway.profiles.patterns import TopicPattern, topic_pattern
from gateway.profiles.schema import ProfileFile, Rule
from gateway.profiles.times import Clock


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule of a profile.

    Attributes:
        profile: The profile's name.
        number: Which of its rules it is, from 1.
        patterns: Topics that it takes.
        excluded: Topics that it leaves alone.
    """

    profile: str
    number: int
    patterns: tuple[TopicPattern, ...]
    excluded: tuple[TopicPattern, ...]
    _codec: Codec
    _device: str | Evaluate
    _device_by_topic: bool
    _clock: Clock | None
    _steps: list[Run]

    def match(self, topic: str) -> tuple[TopicPattern, dict[str, str]] | None:
        """Return which pattern takes a topic, and its captures."""
        for pattern in self.patterns:
            captures = pattern.match(topic)
            if captures is not None:
                taken = not any(e.match(topic) is not None for e in self.excluded)
                return (pattern, captures) if taken else None
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
        found = Message(envelope, device, time_ns, received_ns)
        for step in self._steps:
            step(found)
        return Decoded(self.profile, device, found.readings, found.waveforms)


def compile_rules(name: str, profile: ProfileFile, zone: tzinfo) -> list[CompiledRule]:
    """Compile a profile's rules; what could be wrong was found when the file was checked."""
    return [_rule(name, i, rule, profile, zone) for i, rule in enumerate(profile.rules, start=1)]


def _rule(name: str, number: int, rule: Rule, profile: ProfileFile, zone: tzinfo) -> CompiledRule:
    return CompiledRule(
        profile=name,
        number=number,
        patterns=tuple(topic_pattern(text) for text in rule.topics),
        excluded=tuple(topic_pattern(text) for text in rule.exclude),
        _codec=rule.codec.build(),
        _device=text_or_expression(rule.device),
        _device_by_topic=topic_only(rule.device),
        _clock=compile_clock(rule.ts, zone),
        _steps=compile_steps(rule.emit, [rule.units, profile.units], zone),
    )
