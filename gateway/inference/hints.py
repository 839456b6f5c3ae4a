"""What is wrong in a manifest, in words: the key, what is there, and what is near to it."""

import difflib
import types
import typing

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_SHOWN = 80  # characters of a wrong value


def explain(root: type[BaseModel], exc: ValidationError) -> tuple[str, str]:
    """Return the dotted key of the first problem, and the reasons of all.

    Args:
        root: The model that refused.
        exc: Its refusal.
    """
    (key, reason), *others = [_explain_one(root, error) for error in exc.errors()]
    return key, "; ".join([reason, *(f"{k}: {r}" if k else r for k, r in others)])


def _explain_one(root: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    location = tuple(str(part) for part in error["loc"])
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return key, f"unknown key{_nearest(root, location)}"
    if error["type"] == "missing":
        return key, "is required"
    message = error["msg"].removeprefix("Value error, ")
    if isinstance(error["input"], dict | BaseModel):
        return key, message
    shown = repr(error["input"])
    return key, f"{shown[:MAX_SHOWN]}{'...' if len(shown) > MAX_SHOWN else ''}: {message}"


def _nearest(root: type[BaseModel], location: tuple[str, ...]) -> str:
    section = _section_at(root, location[:-1])
    if section is None:
        return ""
    known = list(section.model_fields)
    close = difflib.get_close_matches(location[-1], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _section_at(root: type[BaseModel], location: tuple[str, ...]) -> type[BaseModel] | None:
    section = root
    for part in location:
        info = section.model_fields.get(part)
        found = _section_in(info.annotation) if info else None
        if found is None:
            return None
        section = found
    return section


def _section_in(annotation: object) -> type[BaseModel] | None:
    """Return the table that an annotation stands for: ``X`` or ``X | None``."""
    if isinstance(annotation, types.UnionType):
        found = [_section_in(option) for option in typing.get_args(annotation)]
        return next((section for section in found if section), None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None
