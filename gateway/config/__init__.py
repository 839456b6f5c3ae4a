"""The gateway's configuration, checked before anything starts.

``sections`` is what can be said, ``values`` what a value may be, ``settings`` where it is read
from, ``problems`` how it is told what is wrong.
"""

from gateway.config.sections import (
    AssetSection,
    DevicesSection,
    HubSection,
    MetricsSection,
    default_state_dir,
)
from gateway.config.settings import (
    CONFIG_VARIABLE,
    SHIPPED,
    Settings,
    load_right_parts,
    load_settings,
    load_usable_settings,
)
from gateway.config.values import without_login

__all__ = [
    "CONFIG_VARIABLE",
    "SHIPPED",
    "AssetSection",
    "DevicesSection",
    "HubSection",
    "MetricsSection",
    "Settings",
    "default_state_dir",
    "load_right_parts",
    "load_settings",
    "load_usable_settings",
    "without_login",
]
