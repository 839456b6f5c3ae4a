"""Which rule takes a topic, remembered for the topics that come."""

import logging
from itertools import islice
from typing import NamedTuple

from gateway.errors import DecodeError
from gateway.profiles.rules import LearnedRule, TopicRule

log = logging.getLogger(__name__)

_MAX_TOPICS = 20_000
_MAX_TOPIC_CHARS = 512


class Taken(NamedTuple):
    """What a topic says by itself; ``rule`` is None where no rule takes it.

    ``unit`` is what another profile's message told of the topic's values.
    """

    rule: TopicRule | None
    pattern: str
    captures: dict[str, str]
    device: str | None
    unit: str | None = None


class Claims:
    """The rules of all profiles in their order, and a bounded memory of topics.

    Attributes:
        overlaps: A topic that was seen, for each two profiles of the same priority that claim it;
            the first of them takes it.
    """

    def __init__(self, rules: list[TopicRule]) -> None:
        self._rules = rules
        # Most patterns begin with a word: a new topic need not be held against all the others.
        firsts = [_first_levels(rule) for rule in rules]
        self._anywhere = [r for r, words in zip(rules, firsts, strict=True) if words is None]
        self._by_level = {
            word: [r for r, w in zip(rules, firsts, strict=True) if w is None or word in w]
            for word in set().union(*(words for words in firsts if words is not None))
        }
        self.overlaps: dict[tuple[str, str], str] = {}
        # Two generations: when the young one is full it becomes the old one, and what is asked
        # for again moves up. So topics that never come again go, and live ones stay.
        self._young: dict[str, Taken] = {}
        self._old: dict[str, Taken] = {}
        self._learned = [rule for rule in rules if isinstance(rule, LearnedRule)]

    def attend(self) -> None:
        """Look topics up again from now on when a message tells of them."""
        for rule in self._learned:
            rule.memory.on_topic = self._forget
        self._young.clear()
        self._old.clear()

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
        rules = self._by_level.get(topic.partition("/")[0], self._anywhere)
        for i, rule in enumerate(rules):
            match = rule.match(topic)
            if match is not None:
                pattern, captures = match
                try:
                    device = rule.device_of_topic(captures)
                except DecodeError as exc:
                    exc.profile = rule.profile
                    raise
                self._note_overlap(topic, rules, i)
                return Taken(rule, pattern, captures, device, self._unit_told(topic, rule))
        return Taken(None, "", {}, None)

    def _note_overlap(self, topic: str, rules: list[TopicRule], taker: int) -> None:
        """Note a profile of the same priority that would take the topic too."""
        first = rules[taker]
        for rule in islice(rules, taker + 1, None):
            if rule.priority != first.priority:
                return
            pair = first.profile, rule.profile
            if rule.profile == first.profile or pair in self.overlaps:
                continue
            if rule.match(topic) is not None:
                self.overlaps[pair] = topic
                log.warning("%s: taken by profile %s; %s of the same priority claims it too: "
                            "the first by name counts", topic, *pair)  # fmt: skip

    def all_of(self, topic: str) -> list[tuple[TopicRule, str]]:
        """Return every rule whose pattern a topic fits, in order, and the pattern."""
        found = ((rule, rule.match(topic)) for rule in self._rules)
        return [(rule, match[0]) for rule, match in found if match is not None]

    def _unit_told(self, topic: str, taker: TopicRule) -> str | None:
        """Return the unit that discovery tells of a topic that another profile takes."""
        for rule in self._learned:
            if rule is not taker and (unit := rule.memory.unit_on(topic)):
                return unit
        return None

    def _forget(self, topic: str) -> None:
        """Look a topic up again: a profile has learned something about it."""
        self._young.pop(topic, None)
        self._old.pop(topic, None)


def _first_levels(rule: TopicRule) -> set[str] | None:
    """Return the words with which a rule's topics begin, None where they may begin with any."""
    levels = {pattern.text.partition("/")[0] for pattern in rule.patterns}
    return None if not levels or any("{" in level for level in levels) else levels
