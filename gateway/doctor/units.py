"""The units of the package, and what they said of late."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gateway.doctor.finding import Box, Finding, fail, ok, unseen, warn

UNITS = ("weir-leaf.service", "weir-gateway.service", "weir-mqtt.service")
BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_LIMIT_S = 15.0
_MOST_RESTARTS = 3
_SHOWN = 3
_NOT_ALLOWED = re.compile(r"not seeing messages|insufficient permissions", re.IGNORECASE)


def units(_: Box) -> Iterator[Finding]:
    """Tell how the units are."""
    if not BOOTED.is_dir():
        yield unseen("systemd does not run this box: no units", "")
        return
    for unit in UNITS:
        said = run("systemctl", "show", unit, "-p", _PROPERTIES)
        if not said:
            yield unseen(f"{unit}: systemctl does not answer", "")
            continue
        yield condition(unit, dict(line.split("=", 1) for line in said.splitlines() if "=" in line))


_PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState,Result,NRestarts,MemoryCurrent"


def condition(unit: str, found: dict[str, str]) -> Finding:
    """Return how a unit is.

    Args:
        unit: Its name.
        found: Properties as ``systemctl show`` has them.
    """
    if found.get("LoadState") == "not-found":
        return ok(f"{unit} is not installed")
    state, result = found.get("ActiveState", ""), found.get("Result", "")
    restarts = int(found.get("NRestarts") or 0)
    if state == "failed" or result not in {"success", ""}:
        return fail(
            f"{unit} {state}: {result}", f"journalctl -u {unit} -n 50; systemctl restart {unit}"
        )
    if state != "active":
        return _inactive(unit, state, found.get("UnitFileState", ""))
    if restarts > _MOST_RESTARTS:
        return warn(
            f"{unit} runs, and was restarted {restarts} times", f"journalctl -u {unit} -p warning"
        )
    return ok(f"{unit} runs{_memory(found.get('MemoryCurrent', ''))}")


def _inactive(unit: str, state: str, file_state: str) -> Finding:
    if state == "activating":
        return warn(f"{unit} is starting", f"journalctl -u {unit} -n 50")
    if file_state in {"disabled", "masked"}:
        return ok(f"{unit} is {file_state}")
    return warn(f"{unit} is {state}", f"systemctl start {unit}; journalctl -u {unit} -n 50")


def _memory(found: str) -> str:
    return f", {int(found) / 1e6:,.0f} MB" if found.isdecimal() and int(found) < 2**62 else ""


def journal(box: Box) -> Iterator[Finding]:
    """Tell what errors the units wrote into the journal in the last hour."""
    if not BOOTED.is_dir():
        return
    chosen = [argument for unit in UNITS for argument in ("-u", unit)]
    said = run("journalctl", *chosen, "-p", "err", "--since", "-1h", "-o", "cat", "--no-pager")
    if said is None or (not said and not box.is_root):
        yield unseen("errors in the journal", "run it as root, or as a member of systemd-journal")
    else:
        yield errors([line for line in said.splitlines() if line and not line.startswith("-- ")])


def errors(lines: list[str]) -> Finding:
    """Return what the journal has of errors."""
    if not lines:
        return ok("no errors in the journal in the last hour")
    shown = " | ".join(line[:160] for line in lines[-_SHOWN:])
    return warn(
        f"{len(lines)} errors in the journal in the last hour, the newest: {shown}",
        "journalctl -u 'weir-*' -p err --since -1h",
    )


def run(*command: str) -> str | None:
    """Return what a command of the system prints; None where it is not there or not allowed."""
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, capture_output=True, text=True, errors="replace", timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return None if _NOT_ALLOWED.search(done.stderr) or done.returncode else done.stdout
