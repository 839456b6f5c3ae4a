"""Firmware profiles: a raw message to the readings it holds.

`Catalog` is the way in, `ProfileDirectory` one that follows its files. Profiles are data
(``profile.yaml``, see docs/profiles.md), compiled to closures when they are loaded. Both are
imported when they are asked for: who only wants to know where profiles lie needs no NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.profiles.catalog import Catalog, Claim, ProfileInfo
    from gateway.profiles.directory import ProfileDirectory

__all__ = ["Catalog", "Claim", "ProfileDirectory", "ProfileInfo"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "directory" if name == "ProfileDirectory" else "catalog"
    return getattr(import_module(f"{__name__}.{module}"), name)
