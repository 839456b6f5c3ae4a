"""Which rule takes a topic, remembered for the topics that come."""

from typing import NamedTuple

from gateway.errors import DecodeError
from gateway.profiles.rules import CompiledRule

_MAX_TOPICS = 20_000
_MAX_TOPIC_CHARS = 512


class Taken(NamedTuple):
    """What a topic says by itself; ``rule`` is None where no rule takes it."""

    rule: CompiledRule | None
    pattern: str
    captures: dict[str, str]
    device: str | None


class Claims:
    """The rules of all profiles in their order, and a bounded memory of topics."""

    def __init__(self, rules: list[CompiledRule]) -> None:
        self._rules = rules
        # Two generations: when the young one is full it becomes the old one, and what is asked
        # for again moves up. So topics that never come again go, and live ones stay.
        self._young: dict[str, Taken] = {}
        self._old: dict[str, Taken] = {}

    def of(self, topic: str) -> Taken:
        """Return who takes a topic.

        Raises:
            DecodeError: A rule does, and the topic cannot give its device a name.
        """
        found = self._young.get(topic)
        if found is not None:
            return found
        found = self._old.get(topic) or self._look_up(topic)
        if len(topic) <= _MAX_TOPIC_CHARS:
            if len(self._young) >= _MAX_TOPICS:
                self._old, self._young = self._young, {}
            self._young[topic] = found
        return found

    def _look_up(self, topic: str) -> Taken:
        for rule in self._rules:
            match = rule.match(topic)
            if match is not None:
                pattern, captures = match
                try:
                    device = rule.device_of_topic(captures)
                except DecodeError as exc:
                    exc.profile = rule.profile
                    raise
                return Taken(rule, pattern.text, captures, device)
        return Taken(None, "", {}, None)
