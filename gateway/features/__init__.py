"""Readings into windows: the DuckDB sliding-window feature store.

``columns`` and ``planner`` and ``windows`` are pure; ``store``, ``recovery`` and ``retention``
speak to DuckDB; ``service`` is what the pipeline calls.
"""

from gateway.features.columns import Item, Refused
from gateway.features.marks import Mark
from gateway.features.retention import Bounds
from gateway.features.series import Capacity, Device, Register
from gateway.features.service import FeatureService
from gateway.features.sql import QueryError
from gateway.features.store import Appended
from gateway.features.tables import DeadLetter, SentOutcome

__all__ = [
    "Appended",
    "Bounds",
    "Capacity",
    "DeadLetter",
    "Device",
    "FeatureService",
    "Item",
    "Mark",
    "QueryError",
    "Refused",
    "Register",
    "SentOutcome",
]
