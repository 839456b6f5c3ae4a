"""The topics that are a device's own, from its firmware profile's patterns."""

import re
from collections.abc import Iterable, Sequence

from gateway.topics import OUTCOME_ROOT, smallest_cover

_CAPTURE = re.compile(r"\{([a-z_][a-z0-9_]*)([+*]?)(?::([^{}/+#]+))?\}")


def own_filters(pattern: str, capture: str, name: str) -> list[str]:
    """Return the MQTT filters for those topics of a pattern that speak of one device alone.

    The device's name stands where the pattern captures it; what comes after may be anything that
    the pattern allows. What comes before has to be fixed: ``{_}/{d}/LWT`` would let a device
    speak below another one's name. Such a pattern gives nothing, ``{_*}/{d}/LWT`` gives what
    begins with the name.

    Args:
        pattern: As profiles have it: ``tele/{d}/SENSOR``.
        capture: Which capture holds the device's name.
        name: The device.
    """
    levels = pattern.split("/")
    for i, level in enumerate(levels):
        found = _CAPTURE.fullmatch(level)
        if found is None or found[1] != capture:
            continue
        if found[3] and name not in found[3].split("|"):
            return []
        rest = _after(levels[i + 1 :])
        if found[2] and not rest:
            rest = ["#"]  # what the name spans further is below it
        return ["/".join([*before, name, *rest]) for before in _before(levels[:i])]
    return []


def _before(levels: Sequence[str]) -> list[list[str]]:
    """Return all that may stand before the name; nothing where that is not fixed."""
    ways: list[list[str]] = [[]]
    for level in levels:
        found = _CAPTURE.fullmatch(level)
        if found and found[2] == "*":
            continue  # none of these levels
        if found and found[3]:
            ways = [[*way, word] for way in ways for word in found[3].split("|")]
        elif "{" in level:
            return []
        else:
            ways = [[*way, level] for way in ways]
    return ways


def _after(levels: Sequence[str]) -> list[str]:
    said: list[str] = []
    for level in levels:
        found = _CAPTURE.fullmatch(level)
        if found and found[2]:
            return [*said, "#"]
        said.append("+" if "{" in level else level)
    return said


def overlap(one: str, other: str) -> bool:
    """Say whether there is a topic that both MQTT filters match."""
    left, right = one.split("/"), other.split("/")
    for a, b in zip(left, right, strict=False):
        if "#" in {a, b}:
            return True
        if a != b and "+" not in {a, b}:
            return False
    longer, shorter = (left, right) if len(left) > len(right) else (right, left)
    return len(left) == len(right) or longer[len(shorter)] == "#"


def compact(filters: Iterable[str]) -> tuple[str, ...]:
    """Return filters without those that another one covers."""
    return tuple(smallest_cover(list(filters)))


def problem(topic_filter: str) -> str:
    """Return why a device may not have a filter as its own; "" when it may."""
    levels = topic_filter.split("/")
    if (
        any(ord(c) < 32 or c == "\x7f" for c in topic_filter)
        or topic_filter != topic_filter.strip()
    ):
        return "holds control characters, or blanks around it"
    if "#" in levels[:-1] or any(len(x) > 1 and set(x) & {"+", "#"} for x in levels):
        return "is no MQTT filter: # stands at the end, + and # alone in a level"
    if not topic_filter or levels[0] in {"#", "+"}:
        return "must begin with a fixed level"
    if levels[0] in {"$SYS", "$CONTROL", "$share"}:
        return "is the broker's own"
    if levels[0] == OUTCOME_ROOT:
        return "is the gateway's own"
    return ""
