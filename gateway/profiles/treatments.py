"""Unit tables, compiled: what unit a metric has and what is done with its values.

A treatment is looked up once for each metric; what comes with every message is in the closures.
"""

import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from gateway.model import Value
from gateway.profiles.expressions import Envelope, Evaluate, expression, text_or_expression
from gateway.profiles.schema import Treatment, Units
from gateway.profiles.words import (
    LARGEST,
    MAX_JSON_CHARS,
    MAX_TEXT_CHARS,
    is_missing,
    number,
    unit_symbol,
)

Convert = Callable[[object, Envelope], Value | None]


class CompiledTreatment(NamedTuple):
    """What becomes of one metric's values.

    Attributes:
        unit: Its unit, None where there is none or ``unit_of`` gives it.
        unit_of: Gives the unit of each message.
        convert: Gives the reading's value, None for none; None where `plain` is all there is to it.
    """

    unit: str | None = None
    unit_of: Evaluate | None = None
    convert: Convert | None = None


class Treatments:
    """The unit tables of a step, its rule and its profile, in this order."""

    def __init__(self, *tables: Units) -> None:
        rows = [row for table in tables for row in table]
        self._rows = [(globs([pattern]), row) for pattern, row in rows]

    def of(self, metric: str, *, numbers: bool = False) -> CompiledTreatment:
        """Return the treatment of a metric: the first row whose glob matches its full name."""
        for matches, row in self._rows:
            if matches(metric):
                return compile_treatment(row, numbers=numbers)
        return compile_treatment(None, numbers=numbers)


def globs(patterns: "tuple[str, ...] | list[str]") -> Callable[[str], object]:
    """Return what says whether a name matches one of the globs (case counts)."""
    return re.compile("|".join(fnmatch.translate(p) for p in patterns) or r"(?!)").match


def compile_treatment(row: Treatment | str | None, *, numbers: bool = False) -> CompiledTreatment:
    """Compile what stands beside a glob in a unit table."""
    treatment = row if isinstance(row, Treatment) else Treatment(unit=row)
    unit, unit_of = compile_unit(treatment.unit)
    convert: Convert | None = None
    if treatment.missing or treatment.values or treatment.scale != 1.0 or numbers:
        convert = _converter(treatment, numbers=numbers)
    return CompiledTreatment(unit, unit_of, convert)


def compile_unit(text: str | None) -> tuple[str | None, Evaluate | None]:
    """Return a unit as a constant or as what gives it."""
    if not text:
        return None, None
    found = text_or_expression(text)
    if isinstance(found, str):
        return unit_symbol(found), None

    def unit_of(envelope: Envelope) -> str | None:
        value = found(envelope)
        return unit_symbol(value[:32]) if type(value) is str and value else None

    return None, unit_of


def plain(value: object) -> Value | None:
    """Return what is a reading's value as it stands, None for what is none.

    Not finite numbers, null, texts that mean "no value", texts over 1,024 characters (a part of a
    text may mean something else), objects and arrays are none.
    """
    kind = type(value)
    if kind is float:
        return value if -LARGEST <= value <= LARGEST else None  # type: ignore[operator,return-value]
    if kind is bool:
        return value  # type: ignore[return-value]
    if kind is int:
        return _bounded(value)  # type: ignore[arg-type]
    if kind is str:
        return None if len(value) > MAX_TEXT_CHARS or is_missing(value) else value  # type: ignore[arg-type,return-value]
    return None


PLAIN_TYPES = frozenset({bool, int, float, str, bytes, type(None)})
"""What is no object or array."""

NUMBERS = frozenset({int, float})
"""What has a unit; true, false and texts have none."""


def json_text(value: object, *, compact: bool) -> str | None:
    """Return an object or array as JSON text, None above 16,384 characters and for empty ones.

    Args:
        value: Objects, arrays (NumPy's too) and what they hold.
        compact: Leave out an object's members that are null.

    Raises:
        TypeError: Something in it has no form in JSON (bytes).
    """
    if compact and type(value) is dict:
        value = {key: item for key, item in value.items() if item is not None}
    try:
        text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except orjson.JSONEncodeError as exc:
        raise TypeError(str(exc)) from exc
    return text if 2 < len(text) <= MAX_JSON_CHARS else None


def _bounded(value: int) -> int | float | None:
    if -(2**63) <= value < 2**64:
        return value
    return float(value) if -LARGEST <= value <= LARGEST else None


def text_numbers(value: Any, _: Envelope) -> Value | None:  # noqa: ANN401 - JSON
    """Return a value as it stands, and a text that is a number as that number."""
    found = number(value) if type(value) is str else None
    return plain(value if found is None else found)


def _converter(treatment: Treatment, *, numbers: bool) -> Convert:
    missing, values = frozenset(treatment.missing), _by_type(treatment.values)
    if numbers and not missing and not values and treatment.scale == 1:
        return text_numbers
    scale = _scaler(treatment.scale)

    def convert(value: Any, envelope: Envelope) -> Value | None:  # noqa: ANN401 - JSON
        kind = type(value)
        if kind is dict or kind is list or (kind is not bool and value in missing):
            return None
        if values and (kind is bool, value) in values:
            return plain(values[kind is bool, value])
        if kind is str and numbers:
            found = number(value)
            if found is None:
                return plain(value)
            if found in missing:
                return None
            value, kind = found, type(found)
        if kind is int or kind is float:
            value = scale(value, envelope)
        return plain(value)

    return convert


def _by_type(values: Mapping[Any, Any]) -> dict[tuple[bool, Any], Any]:
    """Keep true apart from 1 and false from 0, which Python holds for equal."""
    return {(type(key) is bool, key): value for key, value in values.items()}


def _scaler(scale: float | str) -> Callable[[Any, Envelope], Any]:
    if isinstance(scale, str):
        factor = expression(scale)

        def by_expression(value: Any, envelope: Envelope) -> Any:  # noqa: ANN401 - a number
            found = factor(envelope)
            return _scaled(value, found) if type(found) in {int, float} else value

        return by_expression
    return lambda value, _: _scaled(value, scale)


def _scaled(value: float, scale: float) -> float:
    """Multiply; divide where that is the exact way: 1/1000 has no binary form, 1000 has."""
    if scale == 1:
        return value
    if 0 < abs(scale) < 1:
        divisor = round(1 / scale)
        if abs(divisor * scale - 1) < 1e-12:
            return value / divisor
    return value * scale
