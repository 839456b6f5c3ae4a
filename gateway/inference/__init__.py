"""The inference room: windows in, results out, each plugin in a process of its own.

``Manifest`` and ``Model`` are what a plugin's own Python is handed.
"""

from gateway.inference.manifest import Manifest
from gateway.inference.models import Model

__all__ = ["Manifest", "Model"]
