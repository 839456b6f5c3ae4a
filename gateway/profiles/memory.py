"""What messages have taught about others: units, types, and on which topics values come.

One memory for each profile. It is bounded, and lost at a restart: what teaches is retained by the
broker, and comes again.
"""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from gateway.model import Reading, Value
from gateway.profiles.template import Template
from gateway.profiles.treatments import plain
from gateway.profiles.words import number

MAX_LESSONS = 20_000
ONLINE = "$online"

_KINDS = {"string": "text", "enum": "text", "color": "text", "datetime": "text", "duration": "text",
          "text": "text", "boolean": "boolean", "bool": "boolean"}  # fmt: skip
_TRUTH = {"true": True, "false": False}


class Lesson(NamedTuple):
    """What one message says about one metric.

    Attributes:
        device, metric: Of which it speaks.
        unit: Its unit.
        kind: ``text``, ``boolean``, or whatever else for a number.
        on, off: The texts that mean true and false.
        topic: Where its values come, None where a rule knows that.
        template: Where they stand in the payload.
        mode: How several topics that tell ``$online`` go together: ``all``, ``any``, or else the
            latest counts.
    """

    device: str
    metric: str
    unit: str | None = None
    kind: str | None = None
    on: str | None = None
    off: str | None = None
    topic: str | None = None
    template: Template | None = None
    mode: str | None = None

    @property
    def place(self) -> Template | None:
        """Return where a topic's values stand; a topic has its own words for true and false."""
        if self.template is None or not (self.on or self.off):
            return self.template
        words = {word: truth for word, truth in ((self.on, True), (self.off, False)) if word}
        return self.template.then(lambda value: words.get(_as_word(value), value))


class Presence:
    """Whether a device is there, where several topics tell of it.

    Attributes:
        mode: How they go together.
        said: What each of them said last, None where it has not yet.
    """

    __slots__ = ("mode", "said")

    def __init__(self, mode: str | None, said: dict[str, bool | None]) -> None:
        self.mode = mode
        self.said = said

    def with_(self, topic: str, online: bool) -> bool:
        """Return what is known of the device now that a topic has spoken."""
        self.said[topic] = online
        if self.mode == "all":
            return False not in self.said.values()
        return True in self.said.values() if self.mode == "any" else online


class Fact(NamedTuple):
    """All that is known about a metric of a device."""

    unit: str | None
    kind: str | None
    on: str | None
    off: str | None

    @property
    def is_text(self) -> bool:
        """Say whether its values are texts even where they look like numbers."""
        return self.kind == "text"

    def value(self, raw: Value) -> Value:
        """Return what a value means; a JSON true or false is what it is."""
        if type(raw) is bool:
            return raw
        word = str(raw)
        if word == self.on:
            return True
        if word == self.off:
            return False
        if self.kind == "boolean":
            return _TRUTH.get(word.lower(), raw)
        return raw


class Memory:
    """The lessons of a profile's messages.

    Args:
        scaled: Says whether the profile's own unit table converts a metric; its unit then stands.

    Attributes:
        facts: What is known, by device and metric.
        places: The metrics whose values come on a topic, by topic.
        refused: Lessons left aside because the memory was full.
        on_topic: Called with a topic whose places have changed.
    """

    def __init__(self, scaled: Callable[[str], object]) -> None:
        self._scaled = scaled
        self._taught: dict[str, tuple[Lesson, ...]] = {}
        self._of_metric: dict[tuple[str, str], dict[tuple[str, str | None], Lesson]] = {}
        self._presence: dict[str, Presence] = {}
        self._count = 0
        self.facts: dict[str, dict[str, Fact]] = {}
        self.places: dict[str, dict[tuple[str, str], Template]] = {}
        self.refused = 0
        self.on_topic: Callable[[str], object] = lambda _: None

    def teach(self, origin: str, lessons: Iterable[Lesson]) -> None:
        """Replace what an earlier message on the topic ``origin`` taught."""
        new = tuple(lessons)
        old = self._taught.get(origin, ())
        if new == old:
            return
        if self._count - len(old) + len(new) > MAX_LESSONS:
            self.refused += len(new)
            new = ()
        self._count += len(new) - len(old)
        for lesson in old:
            self._forget(origin, lesson)
        for lesson in new:
            self._learn(origin, lesson)
        if new:
            self._taught[origin] = new
        else:
            self._taught.pop(origin, None)

    def apply(self, readings: list[Reading]) -> None:
        """Put units and meanings on readings, in place.

        Most are as they should be already: only those that change are built anew.
        """
        of, facts = "", _NONE
        for i, reading in enumerate(readings):
            device, metric, value, unit, time_ns, own_time = reading
            if device != of:
                of, facts = device, self.facts.get(device, _NONE)
            fact = facts.get(metric)
            if fact is None:
                continue
            learned, kind, on, off = fact
            meant = fact.value(value) if kind or on or off else value
            said = None if type(meant) is bool else learned or unit
            if meant is not value or said != unit:
                readings[i] = Reading(device, metric, meant, said, time_ns, own_time)

    def is_text(self, device: str, metric: str) -> bool:
        """Say whether a metric's values are known to be texts."""
        fact = self.facts.get(device, _NONE).get(metric)
        return fact is not None and fact.is_text

    def reading(
        self, topic: str, device: str, metric: str, raw: object
    ) -> tuple[Value, str | None] | None:
        """Return value and unit of what came on a topic that was learned, None for no value."""
        fact = self.facts.get(device, _NONE).get(metric) or Fact(None, None, None, None)
        value = plain(raw)
        if value is None or (type(value) is str and value[:1] in {"{", "["}):
            return None  # a document where one value was told of
        meant = fact.value(value)
        if type(meant) is str and not fact.is_text:
            found = number(meant)
            if found is not None:
                known = plain(found)  # 1e999 is none
                if known is None:
                    return None
                meant = known
        if metric == ONLINE:
            presence = self._presence.get(device)
            if type(meant) is not bool or presence is None:
                return None
            return presence.with_(topic, meant), None
        return meant, None if type(meant) is bool else fact.unit

    def unit_on(self, topic: str) -> str | None:
        """Return the unit of a topic whose whole payload is one value."""
        for (device, metric), place in self.places.get(topic, {}).items():
            if place.path is None and metric != ONLINE:
                return self.facts[device][metric].unit
        return None

    def _learn(self, origin: str, lesson: Lesson) -> None:
        key = lesson.device, lesson.metric
        self._of_metric.setdefault(key, {})[origin, lesson.topic] = lesson
        self._merge(key)
        self._locate(lesson.topic, key)

    def _forget(self, origin: str, lesson: Lesson) -> None:
        key = lesson.device, lesson.metric
        self._of_metric.get(key, {}).pop((origin, lesson.topic), None)
        self._merge(key)
        self._locate(lesson.topic, key)

    def _locate(self, topic: str | None, key: tuple[str, str]) -> None:
        """Note where a metric stands on a topic, or that nobody tells of it any more."""
        if topic is None:
            return
        lessons = self._of_metric.get(key, {}).values()
        told = [lesson.place for lesson in lessons if lesson.topic == topic]
        place = next((each for each in reversed(told) if each is not None), None)
        places = self.places.setdefault(topic, {})
        if place is not None:
            places[key] = place
        else:
            places.pop(key, None)
            if not places:
                del self.places[topic]
        self.on_topic(topic)

    def _merge(self, key: tuple[str, str]) -> None:
        device, metric = key
        lessons = self._of_metric[key].values() if self._of_metric.get(key) else ()
        if metric == ONLINE:
            self._attend(device, lessons)
        if not lessons:
            self._of_metric.pop(key, None)
            facts = self.facts.get(device, {})
            facts.pop(metric, None)
            if not facts:
                self.facts.pop(device, None)
            return
        unit = kind = on = off = None
        for lesson in lessons:
            unit, kind = lesson.unit or unit, lesson.kind or kind
            on, off = lesson.on or on, lesson.off or off
        if self._scaled(metric):
            unit = None
        kind = _KINDS.get(kind.lower(), "number") if kind else None
        self.facts.setdefault(device, {})[metric] = Fact(unit, kind, on, off)

    def _attend(self, device: str, lessons: Collection[Lesson]) -> None:
        """Note which topics tell whether a device is there; what they said stays known."""
        was = self._presence.pop(device, None)
        topics = [lesson.topic for lesson in lessons if lesson.topic is not None]
        if topics:
            mode = next((lesson.mode for lesson in lessons if lesson.mode), None)
            said = {} if was is None else was.said
            self._presence[device] = Presence(mode, {each: said.get(each) for each in topics})


def _as_word(value: object) -> str:
    return str(value) if type(value) in {str, int, float} else ""


_NONE: dict[str, Fact] = {}
