"""The functions that a profile's expressions may call besides JMESPath's own.

All are pure. They raise a JMESPath type error or ValueError on what they cannot work with, which
`gateway.profiles.catalog` turns into a DecodeError.
"""

import base64
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import orjson
from jmespath import functions
from jmespath.exceptions import JMESPathTypeError

from gateway.profiles.words import number

signature = functions.signature
NUMBER: Any = {"types": ["number"]}
TEXT: Any = {"types": ["string"]}
ANY: Any = {"types": []}

JMESPATH_TYPES = {
    dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null",
    int: "number", float: "number",
}  # fmt: skip


class Functions(functions.Functions):
    """JMESPath's functions and ours; a method ``_func_x`` is the function ``x``."""

    @signature({"types": ["array"]}, NUMBER)
    def _func_chunks(self, items: list[Any], size: int) -> list[list[Any]]:
        """Return an array's elements in arrays of so many; the last may be shorter."""
        return [items[i : i + size] for i in range(0, len(items), size)]

    @signature({"types": ["array"]}, {"types": ["array"]})
    def _func_zip(self, keys: list[Any], values: list[Any]) -> list[dict[str, Any]]:
        """Return ``[{k: key, v: value}]`` of an array of names and one of values of its length."""
        return [{"k": key, "v": item} for key, item in zip(keys, values, strict=True)]

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

    @signature(ANY)
    def _func_hex(self, values: Any) -> str:  # noqa: ANN401 - bytes or JSON
        """Return bytes, or an array of them (0 to 255), as hexadecimal digits."""
        return bytes(values).hex() if isinstance(values, list | bytes) else _refuse("hex", values)

    @signature(TEXT)
    def _func_unhex(self, text: str) -> str:
        """Return hexadecimal digits in lower case, without the white space between them."""
        return bytes.fromhex(text).hex()

    @signature(TEXT)
    def _func_from_base64(self, text: str) -> str:
        """Return base64 (RFC 4648, padded or not, either alphabet) as hexadecimal digits."""
        return base64_bytes(text).hex()

    @signature(TEXT, TEXT)
    def _func_unpack(self, fmt: str, digits: str) -> list[Any]:
        """Return the fields at the beginning of hexadecimal digits, as in Python's ``struct``."""
        return list(struct.unpack_from(fmt, bytes.fromhex(digits)))

    @signature(TEXT)
    def _func_from_json(self, text: str) -> Any:  # noqa: ANN401 - JSON
        """Return what a text holds as JSON, null when it is not JSON."""
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return None

    @signature(ANY)
    def _func_number(self, value: object) -> float | int | None:
        """Return a number, or what a text says as one; null when it is none."""
        if type(value) is str:
            return number(value)
        return value if type(value) in {int, float} else None  # type: ignore[return-value]

    @signature({"types": ["object", "null"]}, TEXT)
    def _func_get(self, value: dict[str, Any] | None, key: str) -> Any:  # noqa: ANN401 - JSON
        """Return an object's member by a key that an expression gives."""
        return None if value is None else value.get(key)

    @signature(ANY, TEXT)
    def _func_at(self, value: Any, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what lies at a dotted path (``a.b.0``), null where there is nothing."""
        return at(value, path.split(".") if path else [])

    @signature({"types": ["object", "array"]})
    def _func_compact(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return an object or array without the members that are null."""
        if type(value) is dict:
            return {key: item for key, item in value.items() if item is not None}
        return [item for item in value if item is not None]

    @signature({"types": ["array"]})
    def _func_unpairs(self, pairs: list[Any]) -> dict[str, Any]:
        """Return the object of ``[{k: key, v: value}]``; a pair without a text for key is left."""
        return {
            pair["k"]: pair.get("v")
            for pair in pairs
            if type(pair) is dict and type(pair.get("k")) is str
        }

    @signature(ANY, ANY, ANY)
    def _func_if(self, condition: object, yes: object, no: object) -> object:
        """Return one of two values; unlike ``a && b || c`` also where the first is false."""
        return yes if truthy(condition) else no

    @signature(TEXT, TEXT)
    def _func_match(self, text: str, pattern: str) -> list[str | None] | None:
        """Return the groups that a regular expression finds (or all it finds), null if nothing."""
        found = re.search(pattern, text)
        return None if found is None else list(found.groups() or [found[0]])

    @signature(TEXT, NUMBER, NUMBER)
    def _func_slice(self, text: str, start: float, end: float) -> str:
        """Return the characters from one place up to another, as in Python."""
        return text[int(start) : int(end)]

    @signature(NUMBER, NUMBER)
    def _func_to_hex(self, value: float, digits: float) -> str:
        """Return a whole number as at least so many hexadecimal digits."""
        return f"{int(value):0{min(int(digits), 32)}x}"

    @signature({"types": [], "variadic": True})
    def _func_path(self, *parts: object) -> str | None:
        """Return texts and numbers joined by ``/``; null, empty and all else is left out."""
        found = [str(part) for part in parts if type(part) in {str, int, float} and part != ""]
        return "/".join(found) or None

    @signature(NUMBER, NUMBER)
    def _func_sub(self, left: float, right: float) -> float:
        """Return the difference of two numbers."""
        return left - right

    @signature(NUMBER, NUMBER)
    def _func_pow(self, base: float, exponent: float) -> float | None:
        """Return a power, null where it is no real number."""
        found = base**exponent
        return found if isinstance(found, int | float) else None

    @signature(NUMBER, NUMBER)
    def _func_round(self, value: float, digits: float) -> float:
        """Return a number with so many digits behind the point."""
        return round(value, int(digits))

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


def truthy(value: object) -> bool:
    """Say whether JMESPath holds a value for true: 0 is, empty and null are not."""
    if value is None or value is False:
        return False
    kind = type(value)
    return bool(value) if kind is str or kind is dict or kind is list else True


def base64_bytes(text: str) -> bytes:
    """Return what base64 holds (RFC 4648): either alphabet, padded or not.

    Raises:
        ValueError: It is not base64.
    """
    plain = "".join(text.split()).translate(_URL_SAFE)
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


_URL_SAFE = str.maketrans("-_", "+/")


def at(value: Any, path: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """Return what lies below a value along keys and indexes, None where there is nothing."""
    for key in path:
        if type(value) is dict:
            value = value.get(key)
        elif type(value) is list and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _refuse(name: str, value: object) -> NoReturn:
    raise JMESPathTypeError(name, value, _type(value), ["array"])


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
