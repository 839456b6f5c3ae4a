"""Words for what is wrong with a configuration: file, key, value, and what is allowed."""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.config.values import without_login

Where = Mapping[tuple[str, ...], str]
"""From which file each key came."""


def explain(error: ErrorDetails, where: Where, model: type[BaseModel]) -> str:
    """Return one problem that pydantic found as one line.

    Args:
        error: The problem.
        where: From which file each key came.
        model: The whole configuration's.
    """
    location = tuple(str(part) for part in error["loc"])
    file = _file(location, where)
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{file}: {key}: unknown key{nearest(location, model)}"
    if error["type"] == "missing":
        return f"{file}: {key}: missing"
    message = error["msg"].removeprefix("Value error, ")
    if not location:
        return f"{file}: {message}"
    return f"{file}: {key} = {without_login(_shown(error['input']))}: {message}"


def nearest(location: tuple[str, ...], model: type[BaseModel]) -> str:
    """Return what may have been meant by an unknown key, as the end of a sentence."""
    section = _section_at(location[:-1], model)
    known = list(section.model_fields) if section else []
    return did_you_mean(location[-1], known)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the known name that is nearest, or all of them, as the end of a sentence."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _shown(value: object) -> str:
    text = repr(str(value)) if not isinstance(value, int | float | dict | list) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _file(location: tuple[str, ...], where: Where) -> str:
    for n in range(len(location), 0, -1):
        if location[:n] in where:
            return where[location[:n]]
    return "configuration"


def _section_at(location: tuple[str, ...], model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model that stands at a location: list indices and unions are looked through."""
    for part in location:
        if part.isdigit():
            continue
        if part not in model.model_fields:
            return None
        annotation = model.model_fields[part].annotation
        while isinstance(annotation, types.GenericAlias) or typing.get_origin(annotation):
            annotation = typing.get_args(annotation)[0]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        model = annotation
    return model
