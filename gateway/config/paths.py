"""Files and folders that a configuration names, and whether they are there."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_FILES = (
    ("mqtt", "password_file"),
    ("mqtt", "ca_file"),
    ("hub", "credentials_file"),
    ("hub", "login_file"),
    ("hub", "ca_file"),
)
_FOLDERS = (("plugins", "dirs"), ("profiles", "dirs"), ("cameras", "dirs"))


def absent(tables: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str, str]]:
    """Yield what is named and not there: key, path and reason.

    What this user may not look for is let pass: the gateway may run as another user.

    Args:
        tables: As TOML has them; values of a wrong type are left to others.
    """
    for table, key in _FILES:
        path = _of(tables, table).get(key)
        if isinstance(path, str) and (reason := _reason(path, want_folder=False)):
            yield (table, key), path, reason
    for table, key in _FOLDERS:
        paths = _of(tables, table).get(key)
        for path in paths if isinstance(paths, list) else ():
            if isinstance(path, str) and (reason := _reason(path, want_folder=True)):
                yield (table, key), path, reason


def _of(tables: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    found = tables.get(table)
    return found if isinstance(found, dict) else {}


def _reason(path: str, *, want_folder: bool) -> str:
    try:
        is_folder = stat.S_ISDIR(Path(path).stat().st_mode)
    except PermissionError:
        return ""
    except (OSError, ValueError) as exc:
        return getattr(exc, "strerror", None) or "not a path"
    if is_folder == want_folder:
        return ""
    return "is not a directory" if want_folder else "is a directory; must be a file"
