"""All checks, one after the other; what fails to look says so and the rest goes on."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.client import NotRunningError, RefusedError, ask
from gateway.config import load_right_parts, load_usable_settings
from gateway.doctor import clock, devices, disk, files, logins, machine, ports, running, units
from gateway.doctor.finding import Box, Finding, fail, ok, unseen
from gateway.errors import ConfigError

Check = Callable[[Box], Iterator[Finding]]


def configuration(box: Box) -> Iterator[Finding]:
    """Tell what is wrong with the configuration."""
    for problem in box.problems:
        state = unseen if "Permission denied" in problem else fail
        yield state(problem, "correct it; weir check names the nearest key that there is")
    if not box.knows_state_dir:
        yield unseen(
            "which state directory is meant cannot be read; all below is of "
            f"{box.settings.gateway.state_dir}",
            "say it: weir doctor --state-dir DIRECTORY (of the package: /var/lib/weir)",
        )
    if not box.problems:
        yield ok(f"the configuration is valid ({box.config or 'defaults alone'})")


CHECKS: tuple[tuple[str, Check], ...] = (
    ("configuration", configuration),
    ("processor", machine.processor),
    ("python", machine.python),
    ("memory", machine.memory),
    ("clock", clock.clock),
    ("state", files.state),
    ("secrets", files.secrets),
    ("certificates", files.certificates),
    ("disk", disk.disk),
    ("ports", ports.ports),
    ("units", units.units),
    ("journal", units.journal),
    ("logins", logins.logins),
    ("gateway", running.gateway),
    ("broker", running.broker),
    ("leaf", running.leaf),
    ("hub", running.hub),
    ("store", running.store),
    ("plugins", running.plugins),
    ("profiles", running.profiles),
    ("dead letters", running.dead_letters),
    ("devices", devices.devices),
    ("cameras", running.cameras),
)
"""In the order in which one would look: what stands below rests on what stands above."""


def look_at(config: Path | None, state_dir: Path | None = None) -> Box:
    """Return what is known before the checks begin.

    Args:
        config: ``gateway.toml``, None for the defaults.
        state_dir: Wins over the configuration's.
    """
    tables = {"gateway": {"state_dir": str(state_dir.absolute())}} if state_dir else {}
    problems, knows = list[str](), True
    try:
        settings = load_usable_settings(config, **tables)
    except ConfigError as exc:
        problems = exc.problems
        settings, knows = load_right_parts(config, **tables)
    status, silence = None, ""
    try:
        status = ask(settings.socket_path, "/status", limit_s=5.0)
    except (NotRunningError, RefusedError) as exc:
        silence = str(exc)
    return Box(settings, problems, config, status, silence, os.geteuid() == 0, knows)


def examine(box: Box) -> Iterator[tuple[str, Finding]]:
    """Yield the name of each check with what it finds."""
    for name, check in CHECKS:
        try:
            for finding in check(box):
                yield name, finding
        except (OSError, KeyError, TypeError, ValueError) as exc:
            # A gateway of another version answers otherwise, a kernel has other files: the doctor
            # has to go on, most of all on a box that is unwell.
            yield name, unseen(f"could not be looked at: {exc!r}", "")
