"""Which profile a person means: a name, a folder or a file."""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from gateway.errors import ConfigError
from gateway.profiles.folders import PROFILE_FILE, find

ARGUMENT = "a profile's name, its folder, or its profile.yaml"


def named(said: str, dirs: Sequence[Path]) -> Path:
    """Return the ``profile.yaml`` that is meant; a file or folder goes before a name.

    Raises:
        ConfigError: There is none.
    """
    path = Path(said)
    for file in (path, path / PROFILE_FILE):
        if _is_file(file):
            return file.absolute()
    known = find(dirs)
    if said in known:
        return known[said][-1].absolute()
    if os.path.isdir(path):  # noqa: PTH112 - False where one may not look, and does not raise
        raise ConfigError([f"{said}: no {PROFILE_FILE} in it"])
    close = get_close_matches(said, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "weir profile list names them"
    raise ConfigError([f"no profile or folder {said!r}; {hint}"])


def _is_file(path: Path) -> bool:
    """Say whether a file is there; a folder that one may not enter has none for us."""
    try:
        return path.is_file()
    except PermissionError:
        return False
