"""The part of Home Assistant's ``value_template`` that needs no Jinja.

A path into the payload (``value``, ``value_json.a.b``, ``value_json['a'][0]``), then filters that
turn it into a number. What says more than that is not honoured: it would be a program in somebody
else's message. https://www.home-assistant.io/integrations/sensor.mqtt/#value_template
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from gateway.profiles.functions import at
from gateway.profiles.words import number

_MAX_CHARS = 300
_WHOLE = re.compile(
    r"\{\{-?\s*(value_json|value)((?:\.\w+|\[[^\]]+\])*)\s*(.*?)\s*-?\}\}", re.DOTALL
)
# Filters are applied from left to right anyway: brackets around the first of them change nothing.
_BRACKETS = re.compile(r"^\{\{(-?)\s*\(((?:[^()]|\([^()]*\))*)\)")
_STEP = re.compile(r"\.(\w+)|\[\s*(?:'([^']*)'|\"([^\"]*)\"|(\d+))\s*\]")
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_FILTER = re.compile(
    rf"\s*(?:\|\s*(?:(float|int)(?:\(\s*[^()]*\))?|round(?:\(\s*(\d*)\s*\))?|(is_defined|string|trim)|"
    rf"default\([^()]*\))|([*/+-])\s*{_NUMBER})\s*"
)
_OPERATORS: dict[str, Callable[[float, float], float | None]] = {
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right if right else None,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
}

Change = Callable[[Any], Any]


class Template(NamedTuple):
    """Where a value stands in a payload, and what is done with it.

    Attributes:
        path: Keys and indexes into the JSON payload; None: the payload's text itself.
        changes: Applied in order.
    """

    path: tuple[str, ...] | None
    changes: tuple[Change, ...] = ()

    @property
    def dotted(self) -> str | None:
        """Return the path joined by dots, None for the payload itself."""
        return None if self.path is None else ".".join(self.path)

    def then(self, change: Change) -> "Template":
        """Return the same with one change more."""
        return Template(self.path, (*self.changes, change))

    def value(self, payload: object) -> object:
        """Return the value in a payload: its text, or with a path its JSON."""
        found = payload if self.path is None else at(payload, self.path)
        for change in self.changes:
            if found is None:
                return None
            found = change(found)
        return found


def template(text: str | None) -> Template | None:
    """Return what a ``value_template`` says, None where it says more than is honoured here."""
    if not text:
        return Template(None)
    plain = _BRACKETS.sub(r"{{\1 \2 ", text.strip()) if len(text) <= _MAX_CHARS else ""
    found = _WHOLE.fullmatch(plain)
    if found is None:
        return None
    root, steps, rest = found.groups()
    path = [next(part for part in step if part) for step in _STEP.findall(steps)]
    if _STEP.sub("", steps) or (root == "value" and steps):
        return None
    changes = _changes(rest)
    if changes is None:
        return None
    return Template(None if root == "value" else tuple(path), changes)


def _changes(text: str) -> tuple[Change, ...] | None:
    changes: list[Change] = []
    while text:
        found = _FILTER.match(text)
        if found is None:
            return None
        to, digits, _, operator, operand = found.groups()
        if to:
            changes.append(_as_float if to == "float" else _as_int)
        elif operator:
            changes.append(_operation(_OPERATORS[operator], float(operand)))
        elif digits is not None or "round" in found[0]:
            changes.append(_rounding(int(digits or 0)))
        text = text[found.end() :]
    return tuple(changes)


def _as_float(value: Any) -> float | int | None:  # noqa: ANN401 - JSON
    return number(value) if type(value) is str else value if type(value) in {int, float} else None


def _as_int(value: Any) -> int | None:  # noqa: ANN401 - JSON
    found = _as_float(value)
    return None if found is None or abs(found) > 2**53 else int(found)


def _rounding(digits: int) -> Change:
    def rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
        found = _as_float(value)
        return None if found is None else round(found, min(digits, 12))

    return rounded


def _operation(operator: Callable[[float, float], float | None], operand: float) -> Change:
    def operation(value: Any) -> Any:  # noqa: ANN401 - JSON
        found = _as_float(value)
        return None if found is None else operator(found, operand)

    return operation
