"""Profile files: found, read, and checked with the line of whatever is wrong."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from gateway.errors import ProfileError
from gateway.profiles import schema
from gateway.profiles.schema import ProfileFile

PROFILE_FILE = "profile.yaml"
MAX_FILE_BYTES = 1_000_000


def find(dirs: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files of each profile by its name, the one that counts last."""
    found: dict[str, list[Path]] = {}
    for folder in dirs:
        for file in sorted(folder.glob(f"*/{PROFILE_FILE}")):
            found.setdefault(file.parent.name, []).append(file)
    return found


def read(file: Path) -> ProfileFile | list[ProfileError]:
    """Read and check one profile file.

    Returns:
        The profile, or everything that is wrong with it.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            return [ProfileError(str(file), "", f"larger than {MAX_FILE_BYTES} bytes")]
        text = file.read_text(encoding="utf-8")
        data = load_yaml(text)
    except (OSError, UnicodeDecodeError) as exc:
        return [ProfileError(str(file), "", f"cannot be read: {exc}")]
    except MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        return [ProfileError(f"{file}:{line}", "", f"not YAML: {exc.problem}")]
    except (YAMLError, ValueError, RecursionError) as exc:  # numbers, nesting without end
        return [ProfileError(str(file), "", f"not YAML: {exc}")]
    try:
        return ProfileFile.model_validate(data)
    except ValidationError as exc:
        tree = YAML(typ="safe", pure=True).compose(text)
        return [_explain(file, tree, error) for error in exc.errors()]


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return YAML 1.2 data, in which ``ON``, ``off`` and ``yes`` are texts.

    Raises:
        YAMLError: It is not YAML.
    """
    return YAML(typ="safe", pure=True).load(text)


def _explain(file: Path, tree: Node | None, error: Any) -> ProfileError:  # noqa: ANN401
    keys, line = _locate(tree, error["loc"])
    field = ".".join(str(key) for key in keys)
    if error["type"] == "extra_forbidden":
        reason = f"unknown key{_nearest(str(keys[-1]))}"
    else:
        reason = error["msg"].removeprefix("Value error, ")
        if isinstance(error["input"], str | int | float):
            reason = f"{str(error['input'])[:80]!r}: {reason}"
    return ProfileError(f"{file}:{line}", field, reason)


def _locate(tree: Node | None, location: tuple[str | int, ...]) -> tuple[list[str | int], int]:
    """Follow a location of pydantic's in the file.

    Its parts that name a variant of a union (``flatten``, ``str``) are not in the file and are
    passed over; a missing key is told at the line of what should hold it.
    """
    node, keys = tree, list[str | int]()
    for i, part in enumerate(location):
        below = _below(node, part)
        if below is not None:
            node = below
            keys.append(part)
        elif i == len(location) - 1 and isinstance(node, MappingNode) and isinstance(part, str):
            keys.append(part)
    return keys, node.start_mark.line + 1 if node is not None else 1


def _below(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, MappingNode):
        return next((v for k, v in node.value if str(k.value) == str(part)), None)
    return None


def _nearest(key: str) -> str:
    models = [m for m in vars(schema).values() if isinstance(m, type) and issubclass(m, BaseModel)]
    known = {f.alias or name for model in models for name, f in model.model_fields.items()}
    close = difflib.get_close_matches(key, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "; docs/profiles.md has them all"
