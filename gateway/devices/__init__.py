"""How devices behave: too loud, only garbage, or silent."""

from gateway.devices.guard import Guard
from gateway.devices.known import Surrounding

__all__ = ["Guard", "Surrounding"]
