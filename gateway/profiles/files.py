"""Profile files: read, and checked with the line of whatever is wrong."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gateway.errors import ProfileError
from gateway.profiles.faults import faults
from gateway.profiles.schema import ProfileFile

MAX_FILE_BYTES = 1_000_000


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
        return faults(file, tree, exc)


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return YAML 1.2 data, in which ``ON``, ``off`` and ``yes`` are texts.

    Raises:
        YAMLError: It is not YAML.
    """
    return YAML(typ="safe", pure=True).load(text)
