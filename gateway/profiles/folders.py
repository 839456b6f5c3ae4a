"""Where profiles lie; imports nothing of their language, for commands that need this alone."""

from collections.abc import Sequence
from pathlib import Path

PROFILE_FILE = "profile.yaml"


def find(dirs: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files of each profile by its name, the one that counts last.

    A folder holds profile folders, or is one itself.
    """
    found: dict[str, list[Path]] = {}
    for folder in dirs:
        own = folder / PROFILE_FILE
        for file in [own] if own.is_file() else sorted(folder.glob(f"*/{PROFILE_FILE}")):
            found.setdefault(file.parent.name, []).append(file)
    return found
