"""Which profiles come nearest to a message that none of them claims, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import ProfileError
from gateway.model import RawMessage
from gateway.profiles.catalog import Catalog
from gateway.profiles.vectors import VECTORS_FILE, read_vectors

_MOST_KEYS = 500
_LEAST = 0.25
_TOPIC_WEIGHT = 0.5
_ELSEWHERE = 0.5
_DOUBT = 0.5


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a profile is.

    Attributes:
        profile: Its name.
        score: 0 to 1.
        why: What speaks for it.
    """

    profile: str
    score: float
    why: tuple[str, ...]


class Recognition:
    """Compares messages with profiles: by their topic patterns, and by the keys of their vectors.

    Args:
        catalog: The profiles; their vectors are read once.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._rules = {
            p.name: [text for rule in p.rules for text in rule] for p in catalog.profiles
        }
        self._keys = {p.name: _known_keys(p.file.with_name(VECTORS_FILE)) for p in catalog.profiles}

    def nearest(self, topic: str, payload: bytes, limit: int = 3) -> list[Nearness]:
        """Return the profiles that come nearest, the best first; none if nothing speaks for any."""
        keys = _payload_keys(payload)
        found = [self._nearness(name, topic, keys) for name in self._rules]
        near = [each for each in found if each.score >= _LEAST]
        return sorted(near, key=lambda each: (-each.score, each.profile))[:limit]

    def nearest_to_any(self, messages: Sequence[RawMessage], limit: int = 3) -> list[Nearness]:
        """Return the profiles that come nearest to any of some messages, the best first."""
        best: dict[str, Nearness] = {}
        for message in {m.topic: m for m in messages}.values():
            for each in self.nearest(message.topic, message.payload, limit):
                known = best.get(each.profile)
                if known is None or each.score > known.score:
                    best[each.profile] = each
        return sorted(best.values(), key=lambda each: (-each.score, each.profile))[:limit]

    def _nearness(self, name: str, topic: str, keys: frozenset[str]) -> Nearness:
        why: list[str] = []
        scores = [(_likeness(pattern, topic), pattern) for pattern in self._rules[name]]
        by_topic, pattern = max(scores, default=(0.0, ""))
        if by_topic:
            why.append(f"topic: {by_topic:.0%} like {pattern}")
        shared = keys & self._keys[name]
        by_keys = len(shared) / len(keys) if keys else 0.0
        if shared:
            shown = ", ".join(sorted(shared)[:5])
            why.append(f"payload: {len(shared)} of {len(keys)} keys are in its vectors ({shown})")
        weight = _TOPIC_WEIGHT if keys else 1.0
        return Nearness(name, weight * by_topic + (1 - weight) * by_keys, tuple(why))


def _likeness(pattern: str, topic: str) -> float:
    """Return how much of a pattern's fixed levels stands in a topic.

    One that stands elsewhere counts half. A single word proves little: two of two are more alike
    than one of one.
    """
    wanted, levels = pattern.split("/"), [level.lower() for level in topic.split("/")]
    fixed = {i: words for i, level in enumerate(wanted) if (words := _words(level))}
    if not fixed:
        return 0.0
    spans = [i for i, level in enumerate(wanted) if level.endswith(("+}", "*}"))]
    found = 0.0
    for i, words in fixed.items():
        at = i if not spans or i < spans[0] else len(levels) - len(wanted) + i
        if 0 <= at < len(levels) and levels[at] in words:
            found += 1
        elif words & set(levels):
            found += _ELSEWHERE
    off = 0 if spans else abs(len(wanted) - len(levels)) / len(wanted)
    return found / (len(fixed) + _DOUBT) / (1 + off)


def _words(level: str) -> frozenset[str]:
    """Return what may stand at a fixed level: a word, or one of several."""
    words = level[level.index(":") + 1 : -1] if level[0:1] == "{" and ":" in level else level
    return frozenset() if "{" in words else frozenset(words.lower().split("|"))


def _known_keys(file: Path) -> frozenset[str]:
    try:
        vectors = read_vectors(file)
    except ProfileError:
        return frozenset()
    return frozenset().union(*(_payload_keys(v.payload.encode()) for v in vectors if not v.rejects))


def _payload_keys(payload: bytes) -> frozenset[str]:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return frozenset()
    return frozenset(key for key, _ in zip(_keys(document), range(_MOST_KEYS), strict=False))


def _keys(node: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    below: Sequence[Any] = ()
    if type(node) is dict:
        yield from node
        below = list(node.values())
    elif type(node) is list:
        below = node
    for child in below:
        yield from _keys(child)
