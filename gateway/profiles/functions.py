"""The functions that a profile's expressions may call besides JMESPath's own.

All are pure. They raise a JMESPath type error or ValueError on what they cannot work with, which
`gateway.profiles.catalog` turns into a DecodeError.
"""

import re
from collections.abc import Callable
from typing import Any

from jmespath import functions
from jmespath.exceptions import JMESPathTypeError

signature = functions.signature
NUMBER: Any = {"types": ["number"]}
TEXT: Any = {"types": ["string"]}

JMESPATH_TYPES = {
    dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null",
    int: "number", float: "number",
}  # fmt: skip


class Functions(functions.Functions):
    """JMESPath's functions and ours; a method ``_func_x`` is the function ``x``."""

    @signature({"types": ["object"]})
    def _func_pairs(self, value: dict[str, Any]) -> list[dict[str, Any]]:
        """Return ``[{k: key, v: value}]`` of an object, in its order."""
        return [{"k": key, "v": item} for key, item in value.items()]

    @signature(TEXT, TEXT, TEXT)
    def _func_replace(self, text: str, pattern: str, by: str) -> str:
        """Return the text with every match of a regular expression replaced."""
        return re.sub(pattern, by, text)

    @signature(TEXT, TEXT)
    def _func_split(self, text: str, separator: str) -> list[str]:
        """Return the text's parts."""
        return text.split(separator)

    @signature(TEXT)
    def _func_lower(self, text: str) -> str:
        """Return the text in lower case."""
        return text.lower()

    @signature(TEXT)
    def _func_upper(self, text: str) -> str:
        """Return the text in upper case."""
        return text.upper()

    @signature({"types": ["array-number"]})
    def _func_hex(self, values: list[int]) -> str:
        """Return an array of bytes (0 to 255) as hexadecimal digits."""
        return bytes(values).hex()

    @signature(NUMBER, NUMBER)
    def _func_add(self, left: float, right: float) -> float:
        """Return the sum of two numbers."""
        return left + right

    @signature(NUMBER, NUMBER)
    def _func_mul(self, left: float, right: float) -> float:
        """Return the product of two numbers."""
        return left * right

    @signature(NUMBER, NUMBER)
    def _func_div(self, left: float, right: float) -> float | None:
        """Return the quotient of two numbers, null when the divisor is 0."""
        return left / right if right else None


FUNCTIONS = Functions()


def arity_error(name: str, given: int) -> str | None:
    """Say what is wrong with a call of ``name`` with so many arguments, or None."""
    table: dict[str, dict[str, Any]] = Functions.FUNCTION_TABLE
    if name not in table:
        return f"unknown function {name}(); known: {', '.join(sorted(table))}"
    wanted = table[name]["signature"]
    variadic = bool(wanted) and wanted[-1].get("variadic")
    if given < len(wanted) or (given > len(wanted) and not variadic):
        return f"{name}() takes {len(wanted)} arguments, not {given}"
    return None


def function(name: str) -> Callable[..., Any]:
    """Return a function to call with resolved arguments.

    Those that stand in nearly every rule go without jmespath's own, slower, checking of types.
    """
    return _QUICK.get(name) or (lambda *args: FUNCTIONS.call_function(name, args))


def _type(value: object) -> str:
    return JMESPATH_TYPES.get(type(value), "array")


def _pairs(value: object) -> list[dict[str, Any]]:
    if type(value) is not dict:
        raise JMESPathTypeError("pairs", value, _type(value), ["object"])
    return [{"k": key, "v": item} for key, item in value.items()]


def _to_array(value: object) -> list[Any]:
    return value if type(value) is list else [value]


def _not_null(*values: object) -> object:
    return next((value for value in values if value is not None), None)


def _replace(text: object, pattern: object, by: object) -> object:
    if type(text) is str and type(pattern) is str and type(by) is str:
        return re.sub(pattern, by, text)
    return FUNCTIONS.call_function("replace", [text, pattern, by])


def _join(glue: object, parts: object) -> object:
    if type(glue) is str and type(parts) is list and all(type(part) is str for part in parts):
        return glue.join(parts)
    return FUNCTIONS.call_function("join", [glue, parts])


def _to_string(value: object) -> object:
    return value if type(value) is str else FUNCTIONS.call_function("to_string", [value])


_QUICK: dict[str, Callable[..., Any]] = {
    "join": _join,
    "replace": _replace,
    "to_string": _to_string,
    "type": _type,
    "pairs": _pairs,
    "to_array": _to_array,
    "not_null": _not_null,
}
