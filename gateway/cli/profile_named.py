"""Which profile a person means: a name, a folder or a file."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from gateway.errors import ConfigError
from gateway.profiles.files import PROFILE_FILE, find

ARGUMENT = "a profile's name, its folder, or its profile.yaml"


def named(said: str, dirs: Sequence[Path]) -> Path:
    """Return the ``profile.yaml`` that is meant; a file or folder goes before a name.

    Raises:
        ConfigError: There is none.
    """
    path = Path(said)
    for file in (path, path / PROFILE_FILE):
        if file.is_file():
            return file.absolute()
    known = find(dirs)
    if said in known:
        return known[said][-1].absolute()
    if path.is_dir():
        raise ConfigError([f"{said}: no {PROFILE_FILE} in it"])
    close = get_close_matches(said, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "weir profile list names them"
    raise ConfigError([f"no profile or folder {said!r}; {hint}"])
