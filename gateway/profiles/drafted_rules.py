"""The rules of a drafted profile: one for each shape of topic that was heard."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from gateway.model import RawMessage
from gateway.profiles.guesses import SHARED, device_levels, names_in, time_key
from gateway.profiles.patterns import topic_pattern
from gateway.profiles.words import is_missing, number
from gateway.profiles.yaml_text import flow

_MOST_RULES = 30
_SHOWN_TOPICS = 3
_LIKE = 3  # so many topics that differ in one word become one rule
_LONGEST_TEXT = 1024
_STATES = frozenset({"online", "offline", "connected", "disconnected", "alive", "lost"})
_WORD = re.compile(r"[^{}|/+#\0]+")
_NAME = re.compile(r"\w[\w .:-]{0,99}")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEVICE = 'device: "${t.d}" # guess'


class DraftedRule(NamedTuple):
    """One rule.

    Attributes:
        levels: Of its topic pattern.
        lines: What it says; in those for single values ``<metric>`` stands for the value's name.
        metric: That name; empty where messages hold more than one value.
        topics: What it was drafted from.
    """

    levels: tuple[str, ...]
    lines: tuple[str, ...]
    metric: str
    topics: tuple[str, ...]


def drafted_rules(messages: Sequence[RawMessage]) -> list[DraftedRule]:
    """Return a rule for each shape of topic: the level that names the device is a capture."""
    by_topic: dict[str, list[RawMessage]] = {}
    for message in messages:
        by_topic.setdefault(message.topic, []).append(message)
    single = {t: not any(is_nested(m) for m in found) for t, found in by_topic.items()}
    names = names_in(d for m in messages if isinstance(d := json_or_none(m.payload), dict))
    devices = device_levels(single, names)
    groups: dict[tuple[str, ...], list[RawMessage]] = {}
    for topic, found in by_topic.items():
        shape = [_literal(level) for level in topic.split("/")]
        shape[devices[topic]] = "{d}"
        groups.setdefault(tuple(shape), []).extend(found)
    rules = [_rule(levels, found) for levels, found in groups.items() if _is_pattern(levels)]
    return _merged(rules)[:_MOST_RULES]


def _is_pattern(levels: tuple[str, ...]) -> bool:
    try:
        topic_pattern("/".join(levels))
    except ValueError:  # too long, or too many levels that cannot be written
        return False
    return True


def _literal(level: str) -> str:
    return level if _WORD.fullmatch(level) or level == "" else "{_}"


def _rule(levels: tuple[str, ...], messages: Sequence[RawMessage]) -> DraftedRule:
    words = [level for level in reversed(levels) if level and "{" not in level]
    telling = (word for word in words if word.lower() not in SHARED)
    metric = next(telling, words[0] if words else "value").lstrip("$")
    metric = metric if _NAME.fullmatch(metric) else "value"
    topics = tuple(dict.fromkeys(message.topic for message in messages))
    if any(is_nested(message) for message in messages):
        return DraftedRule(levels, tuple(_nested_lines(messages, metric)), "", topics)
    return DraftedRule(levels, tuple(_single_lines(messages)), metric, topics)


def _single_lines(messages: Sequence[RawMessage]) -> list[str]:
    """Return the lines for one value a message."""
    texts = [text for m in messages if (text := _plain_text(m.payload)) is not None]
    if len(texts) < len(messages):
        return ["codec: none # no text: see the codecs in docs/profiles.md", _DEVICE]
    if {text.lower() for text in texts} <= _STATES:
        return ["codec: text", _DEVICE, 'emit: [{online: "=p"}]']
    if set(texts) <= {"true", "false"}:
        return [_DEVICE, 'emit: [{metric: <metric>, value: "=p"}]']
    if set(texts) <= {"ON", "OFF"}:
        values = 'units: [["*", {values: {"ON": true, "OFF": false}}]] # guess'
        return ["codec: text", _DEVICE, 'emit: [{metric: <metric>, value: "=p"}]', values]
    numbers = ", numbers: true" if any(number(text) is not None for text in texts) else ""
    return ["codec: text", _DEVICE, f'emit: [{{metric: <metric>, value: "=p"{numbers}}}]']


def _nested_lines(messages: Sequence[RawMessage], metric: str) -> list[str]:
    """Return the lines for objects and arrays, and single values between them."""
    found = [json_or_none(m.payload) for m in messages]
    documents = [each for each in found if isinstance(each, dict)]
    options = {
        "or_text": any(f is None and m.payload.strip() not in {b"", b"null"}
                       for f, m in zip(found, messages, strict=True)),
        "empty": any(not m.payload for m in messages),
    }  # fmt: skip
    said = {key: True for key, wanted in options.items() if wanted}
    lines = [f"codec: {flow({'name': 'json', **said})}"] if said else []
    lines.append(_DEVICE)
    flat: dict[str, Any] = {"flatten": "=p"}
    if not documents:
        flat["prefix"] = metric
    time = time_key(documents, max(m.received_ns for m in messages))
    if time is not None:
        key, form = time
        path = key if _KEY.fullmatch(key) else orjson.dumps(key).decode()
        lines.append(f"ts: [{{from: {flow('=p.' + path)}, as: {form}}}] # guess")
        flat["drop"] = [key]
    if any(_has_number_text(value, time) for each in documents for value in each.items()):
        flat["numbers"] = True
    between = list(_between(found, messages, metric))
    if not between:
        return [*lines, f"emit: [{flow(flat)}]"]
    return [*lines, "emit:", *(f"  {line}" for line in between), f"  - {flow(flat)}"]


def _between(found: list[Any], messages: Sequence[RawMessage], metric: str) -> Iterable[str]:
    """Yield the steps for single values that came on a topic of objects."""
    if any(isinstance(each, bool) for each in found):
        # Its "offline" counts until it says otherwise, so whatever else it says must.
        where = ', where: "p != null"' if any(not m.payload for m in messages) else ""
        yield f'- {{online: "=p != false"{where}}} # guess: a bare false is its last will'
    if any(type(each) in {int, float} for each in found):
        yield f'- {{metric: {flow(metric)}, value: "=p", where: "type(p) == \'number\'"}} # guess'
    pairs = zip(found, messages, strict=True)
    texts = {f if isinstance(f, str) else m.payload.decode(errors="replace").strip()
             for f, m in pairs if f is None or isinstance(f, str)} - {"", "null"}  # fmt: skip
    if texts and {text.lower() for text in texts} <= _STATES:
        yield '- online: "=p" # guess'
        yield "  where: \"type(p) == 'string'\""
    elif texts:
        yield f'- {{metric: {flow(metric)}, value: "=p", where: "type(p) == \'string\'"}} # guess'


def _has_number_text(item: tuple[str, Any], time: tuple[str, str] | None) -> bool:
    key, value = item
    if time is not None and key == time[0]:
        return False
    if isinstance(value, dict):
        return any(_has_number_text(each, None) for each in value.items())
    if isinstance(value, list):
        return any(_has_number_text(("", each), None) for each in value)
    return isinstance(value, str) and number(value) is not None


def _merged(rules: list[DraftedRule]) -> list[DraftedRule]:
    """Make one rule of those for single values whose topics differ in the value's name."""
    alike: dict[tuple[Any, ...], list[DraftedRule]] = {}
    for rule in rules:
        if rule.metric in rule.levels and any("<metric>" in line for line in rule.lines):
            i = rule.levels.index(rule.metric)
            shape = i, rule.levels[:i], rule.levels[i + 1 :], rule.lines
            alike.setdefault(shape, []).append(rule)
    for (i, *_), group in alike.items():
        if len(group) >= _LIKE:
            rules = _replaced(rules, group, i)
    return rules


def _replaced(rules: list[DraftedRule], group: list[DraftedRule], i: int) -> list[DraftedRule]:
    first = group[0]
    words = "|".join(rule.levels[i] for rule in group)
    levels = (*first.levels[:i], f"{{m:{words}}}", *first.levels[i + 1 :])
    topics = tuple(topic for rule in group for topic in rule.topics)
    one = DraftedRule(levels, first.lines, "${t.m}", topics)
    return [one if rule is first else rule for rule in rules if rule is first or rule not in group]


def written(rule: DraftedRule) -> Iterable[str]:
    """Yield a rule's lines as they stand in the file."""
    shown = ", ".join(rule.topics[:_SHOWN_TOPICS])
    more = len(rule.topics) - _SHOWN_TOPICS
    seen = f"{shown} and {more} more" if more > 0 else shown
    yield "  # seen: " + "".join(c if c.isprintable() else "?" for c in seen)
    yield f"  - topic: {_quoted('/'.join(rule.levels))}"
    for line in rule.lines:
        yield "    " + (line.replace("<metric>", flow(rule.metric)) if rule.metric else line)


def _quoted(text: str) -> str:
    """Return a topic in quotes, as all are written."""
    said = flow(text)
    return said if said[0] in "\"'" else f'"{said}"'


def is_nested(message: RawMessage) -> bool:
    """Say whether a message is a JSON object or array."""
    return isinstance(json_or_none(message.payload), dict | list)


def json_or_none(payload: bytes) -> Any:  # noqa: ANN401 - JSON
    """Return what a payload says, None where it is no JSON."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


def _plain_text(payload: bytes) -> str | None:
    """Return a payload that is a text of some length without what cannot be printed, or None."""
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return None
    is_short = len(text) < 1024 and text.isprintable()
    return text if is_missing(text) or is_short else None
