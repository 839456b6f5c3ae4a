"""Firmware profiles: a raw message to the readings it holds.

`Catalog` is the way in, `ProfileDirectory` one that follows its files. Profiles are data
(``profile.yaml``, see docs/profiles.md), compiled to closures when they are loaded.
"""

from gateway.profiles.catalog import Catalog, Claim, ProfileInfo
from gateway.profiles.directory import ProfileDirectory

__all__ = ["Catalog", "Claim", "ProfileDirectory", "ProfileInfo"]
