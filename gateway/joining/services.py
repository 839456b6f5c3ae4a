"""The units of this box, as far as systemd runs it."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

UNITS = ("weir-leaf.service", "weir-gateway.service")
"""Those that read ``[hub]``, in the order in which they are restarted."""

_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_LIMIT_S = 90.0


def running_units() -> list[str]:
    """Return which of the units run; none where systemd does not run the box."""
    if not _BOOTED.is_dir():
        return []
    said = _systemctl(["is-active", *UNITS]).splitlines()
    return [unit for unit, state in zip(UNITS, said, strict=False) if state == "active"]


def restart(units: Sequence[str]) -> str:
    """Restart units; return "" when that is done, else what the operator is to do."""
    command = f"systemctl restart {' '.join(units)}"
    if os.geteuid() != 0:
        return f"sudo {command}"
    try:
        subprocess.run(  # noqa: S603 - our own units
            ["systemctl", "restart", *units],  # noqa: S607 - of this system
            check=True,
            capture_output=True,
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return command
    return ""


def _systemctl(arguments: list[str]) -> str:
    try:
        return subprocess.run(  # noqa: S603 - our own arguments
            ["systemctl", *arguments],  # noqa: S607 - of this system
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
