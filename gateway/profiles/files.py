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
        text = _text(file)
        data = _data(file, text)
        return ProfileFile.model_validate(data)
    except ProfileError as exc:
        return [exc]
    except UnicodeEncodeError:  # of a value: "\ud800" in quotes
        return [ProfileError(str(file), "", "not YAML: a lone surrogate is no character")]
    except ValidationError as exc:
        tree = _reader().compose(text)
        return faults(file, tree, exc)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ProfileError(str(file), "", f"larger than {MAX_FILE_BYTES} bytes")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ProfileError(str(file), "", f"cannot be read: {exc}") from exc


def _data(file: Path, text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return load_yaml(text)
    except MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ProfileError(f"{file}:{line}", "", f"not YAML: {exc.problem}") from exc
    # Numbers, nesting without end, a list as a key, %YAML of a version that there is not.
    except (YAMLError, ValueError, RecursionError, TypeError, KeyError) as exc:
        raise ProfileError(str(file), "", f"not YAML: {exc}") from exc


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return YAML 1.2 data, in which ``ON``, ``off`` and ``yes`` are texts.

    Raises:
        YAMLError: It is not YAML.
    """
    return _reader().load(text)


def _reader() -> YAML:
    reader = YAML(typ="safe", pure=True)
    reader.composer.warn_double_anchors = False  # YAML allows them: the last one counts
    return reader
