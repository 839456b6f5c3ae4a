"""Topic patterns: ``tele/{d}/SENSOR`` to a regular expression and to an MQTT filter.

``{d}`` captures within one level (not empty), ``{d+}`` one or more levels, ``{d*}`` none or more,
``{c:sys|wifi}`` one of some words; what is captured as ``_`` is thrown away.
"""

import re
from dataclasses import dataclass

_CAPTURE = re.compile(r"\{([a-z_][a-z0-9_]*)([+*]?)(?::([^{}/+#]+))?\}")
_MAX_CAPTURES = 8
_MAX_CHARS = 4096


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A compiled topic pattern.

    Attributes:
        text: As it was written.
        mqtt_filter: The narrowest MQTT filter that lets all its topics through.
    """

    text: str
    mqtt_filter: str
    _regex: re.Pattern[str]

    def match(self, topic: str) -> dict[str, str] | None:
        """Return what the topic's captures hold, or None when it does not match."""
        found = self._regex.fullmatch(topic)
        return None if found is None else {k: v or "" for k, v in found.groupdict().items()}


def topic_pattern(text: str) -> TopicPattern:
    """Compile a topic pattern.

    Raises:
        ValueError: It is empty, too long, holds a wildcard of MQTT's or a malformed capture.
    """
    names = [name for name, _, _ in _CAPTURE.findall(text) if name != "_"]
    if not text or len(text) > _MAX_CHARS:
        raise ValueError(f"a topic pattern has 1 to {_MAX_CHARS} characters")
    if len(set(names)) != len(names) or len(_CAPTURE.findall(text)) > _MAX_CAPTURES:
        raise ValueError(f"captures need different names, at most {_MAX_CAPTURES}")
    levels = text.split("/")
    regex, separator = "", ""
    for i, level in enumerate(levels):
        piece = _level(level)
        if piece is None:
            raise ValueError(f"level {level!r}: write captures as {{name}}, {{name+}} or {{name*}}")
        if level.endswith("*}"):
            # No levels at all: the slash beside it goes too.
            last = i == len(levels) - 1
            regex += f"(?:{separator}{piece})?" if last else f"{separator}(?:{piece}/)?"
            separator = "" if not last else "/"
            continue
        regex += separator + piece
        separator = "/"
    return TopicPattern(text, _mqtt_filter(levels), re.compile(regex, re.DOTALL))


def _level(level: str) -> str | None:
    found = _CAPTURE.findall(level)
    if any(kind for _, kind, _ in found) and (not _CAPTURE.fullmatch(level) or found[0][2]):
        return None  # a capture over levels stands alone
    pieces = _CAPTURE.split(level)
    regex = ""
    for i in range(0, len(pieces) - 1, 4):
        literal, name, kind, words = pieces[i : i + 4]
        inner = ".+" if kind else "[^/]+"
        if words:
            inner = "|".join(re.escape(word) for word in words.split("|"))
        regex += re.escape(literal) + (f"(?:{inner})" if name == "_" else f"(?P<{name}>{inner})")
    rest = "".join(pieces[0::4])
    if any(mark in rest for mark in "{}+#\0"):
        return None
    return regex + re.escape(pieces[-1])


def _mqtt_filter(levels: list[str]) -> str:
    """MQTT cannot say "some levels" anywhere but at the end: from there on it is ``#``."""
    said: list[str] = []
    for i, level in enumerate(levels):
        if level.endswith("+}"):
            last = i == len(levels) - 1
            # '#' matches its parent level too, so one '+' narrows the last {x+} to one or more.
            return "/".join([*said, "+", "#"] if last and said else [*said, "#"])
        if level.endswith("*}"):
            return "/".join([*said, "#"])
        said.append("+" if "{" in level else level)
    return "/".join(said)
