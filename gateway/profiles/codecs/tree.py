"""What a binary format gave, as the tree of JSON's types that expressions work on."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from math import isfinite
from typing import Any

from gateway.errors import DecodeError

MAX_DEPTH = 32
MAX_NODES = 100_000

Leaf = Callable[[Any], Any]
"""Gives what a value of a type of the format's own stands for: JSON's types, bytes or tuples."""

_AS_IT_IS = frozenset({str, int, float, bool, type(None)})


def json_tree(value: object, leaf: Leaf) -> Any:  # noqa: ANN401 - JSON
    """Return a value with text keys, lists, texts, numbers, booleans and null in it, no more.

    Keys become texts (``257`` is ``"257"``), bytes hexadecimal digits, moments ISO 8601 texts.

    Args:
        value: What a decoder gave.
        leaf: Asked for what is none of these; null when it knows no better.

    Raises:
        DecodeError: ``too_deep``: over 32 levels; ``too_many_values``: over 100,000 nodes;
            ``bad_key``: a key is an array, an object, null or beyond 64 bits.
    """
    return _Walk(leaf).of(value, 0)


class _Walk:
    """One walk through a tree, counting."""

    __slots__ = ("_leaf", "_left")

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._left = MAX_NODES

    def of(self, value: Any, depth: int) -> Any:  # noqa: ANN401 - JSON
        kind = type(value)
        if kind in _AS_IT_IS:
            return value
        if depth > MAX_DEPTH:
            raise DecodeError("too_deep", f"more than {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            self._count(len(value))
            return {_key(key): self.of(item, depth + 1) for key, item in value.items()}
        if kind is list or kind is tuple:
            self._count(len(value))
            return [v if type(v) in _AS_IT_IS else self.of(v, depth + 1) for v in value]
        if kind is bytes:
            return value.hex()
        if isinstance(value, date):  # a datetime too
            return moment_text(value)
        return self.of(self._leaf(value), depth + 1)

    def _count(self, items: int) -> None:
        self._left -= items
        if self._left < 0:
            raise DecodeError("too_many_values", f"more than {MAX_NODES}")


def _key(key: object) -> str:
    if type(key) is str:
        return key
    if (type(key) is int and abs(key) < 2**64) or (type(key) is float and isfinite(key)):
        return str(key)  # of a number of a million digits Python makes no text
    if type(key) is bool:
        return "true" if key else "false"
    if type(key) is bytes:
        return key.hex()
    raise DecodeError("bad_key", type(key).__name__)


def moment_text(moment: date) -> str:
    """Return a date or time as ISO 8601, in UTC with a ``Z``."""
    text = moment.isoformat()
    return text.removesuffix("+00:00") + "Z" if isinstance(moment, datetime) else text
