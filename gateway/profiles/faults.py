"""What is wrong with a profile file: each fault once, its line, and its key as written."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from gateway.errors import ProfileError
from gateway.profiles.schema import VERBS, ProfileFile

Model = type[BaseModel]


class _Fault(NamedTuple):
    """One of pydantic's errors, followed into the file.

    Attributes:
        keys: Where it is, as the file has it.
        line: From 1.
        known: The keys that may stand beside the last one.
        error: As pydantic tells it.
    """

    keys: tuple[str | int, ...]
    line: int
    known: tuple[str, ...]
    error: Any


def faults(file: Path, tree: Node | None, error: ValidationError) -> list[ProfileError]:
    """Return what a file's author has to mend.

    pydantic tells of one mistake several times: for each variant that the value could have been,
    and for what holds it. The innermost is the mistake, the others come of it.

    Args:
        file: For the message.
        tree: Its YAML, composed.
        error: What the check of the whole file raised.
    """
    found = [_located(tree, each) for each in error.errors()]
    meant = {
        (*each.keys[:-1], _close(str(each.keys[-1]), each.known))
        for each in found
        if each.error["type"] == "extra_forbidden"
    }
    kept: dict[tuple[str | int, ...], _Fault] = {}
    for each in found:
        holds_another = any(
            len(other.keys) > len(each.keys) and other.keys[: len(each.keys)] == each.keys
            for other in found
        )
        is_misspelt = each.error["type"] == "missing" and each.keys in meant
        if holds_another or is_misspelt:
            continue
        if each.keys not in kept or each.error["type"] == "value_error":
            kept[each.keys] = each
    return [
        ProfileError(f"{file}:{each.line}", ".".join(map(str, each.keys)), _reason(each))
        for each in kept.values()
    ]


def _located(tree: Node | None, error: Any) -> _Fault:  # noqa: ANN401 - pydantic's
    """Follow a location of pydantic's in the file and in the models at once.

    Its parts that name a variant of a union (``flatten``, ``str``) are not in the file and are
    passed over; a missing key is told at the line of what should hold it.
    """
    node, keys = tree, list[str | int]()
    models: tuple[Model, ...] = (ProfileFile,)
    known: tuple[str, ...] = ()
    location = error["loc"]
    for i, part in enumerate(location):
        known = _keys(models[0]) if len(models) == 1 else ()
        below = _below(node, part)
        if isinstance(part, str) and part not in known:
            chosen = tuple(model for model in models if _is_variant(model, part))
            if chosen and (len(models) > 1 or part == models[0].__name__):
                models = chosen
                continue
        is_key = i == len(location) - 1 and error["type"] in {"extra_forbidden", "missing"}
        if below is None and not (is_key and isinstance(node, MappingNode)):
            continue
        keys.append(part)
        node = below or node
        if isinstance(part, str):
            models = tuple(_models_of(models, part))
    return _Fault(tuple(keys), node.start_mark.line + 1 if node is not None else 1, known, error)


def _below(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, MappingNode):
        return next((v for k, v in node.value if str(k.value) == str(part)), None)
    return None


def _keys(model: Model) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _is_variant(model: Model, tag: str) -> bool:
    """Say whether pydantic calls a model so among those of a union."""
    name = model.model_fields.get("name")
    is_codec = name is not None and name.default == tag
    return tag == model.__name__ or is_codec or (tag in VERBS and tag in model.model_fields)


def _models_of(models: Iterable[Model], key: str) -> Iterable[Model]:
    """Return the models that a key's value may be, or its elements."""
    for model in models:
        for name, field in model.model_fields.items():
            if key == (field.alias or name):
                yield from _models_in(field.annotation)


def _models_in(annotation: object) -> Iterable[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _reason(fault: _Fault) -> str:
    error = fault.error
    match error["type"]:
        case "extra_forbidden":
            close = _close(str(fault.keys[-1]), fault.known)
            there = ", ".join(fault.known)
            return (
                f"unknown key; did you mean {close!r}?"
                if close
                else f"unknown key; there are: {there}"
            )
        case "no_verb":
            said = error["input"] if isinstance(error["input"], dict) else {}
            close = next((c for key in said if (c := _close(str(key), VERBS))), "")
            return f"{error['msg']}; did you mean {close!r}?" if close else str(error["msg"])
        case "union_tag_invalid":
            tag, tags = error["ctx"]["tag"], error["ctx"]["expected_tags"]
            close = _close(tag, tags.replace("'", "").split(", "))
            hint = f"did you mean {close!r}? " if close else ""
            return f"no {tag!r}; {hint}there are {tags}"
    reason = str(error["msg"]).removeprefix("Value error, ")
    if isinstance(error["input"], str | int | float):
        reason = f"{str(error['input'])[:80]!r}: {reason}"
    return reason


def _close(key: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(key, sorted(known), n=1)), "")
