"""What is known of devices' habits, kept over restarts in a small file of its own."""

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import orjson

from gateway.devices.conduct import Case, State, Why
from gateway.devices.rhythm import Rhythm

log = logging.getLogger(__name__)

FILE = "devices.json"
_VERSION = 1


@dataclass(slots=True)
class Habits:
    """What is kept.

    Attributes:
        rhythms: How devices usually speak, by name.
        cases: Those limited or quarantined.
        together: Those whose silence was told as one.
    """

    rhythms: dict[str, Rhythm] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    together: list[str] = field(default_factory=list)


def load(path: Path) -> Habits:
    """Return what was kept; nothing where the file is not there or cannot be read."""
    try:
        return _habits(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return Habits()
    except (OSError, ValueError, TypeError, KeyError) as exc:
        log.warning("%s: not readable, devices' habits are learned anew: %s", path, exc)
        return Habits()


def copy(
    rhythms: Mapping[str, Rhythm], cases: Mapping[str, dict[str, Any]], together: list[str]
) -> Habits:
    """Return habits that do not change any more."""
    return Habits(
        {name: replace(rhythm) for name, rhythm in rhythms.items()},
        {name: Case(**case) for name, case in cases.items()},
        together,
    )


def _habits(found: dict[str, Any]) -> Habits:
    if found["version"] != _VERSION:
        raise ValueError(f"of version {found['version']}")
    habits = Habits()
    for name, (usual_hz, observed_s, mean_s, longest_s, gaps) in found["rhythms"].items():
        habits.rhythms[name] = Rhythm(
            float(usual_hz), float(observed_s), float(mean_s), float(longest_s), int(gaps)
        )
    habits.cases = {str(name): _case(**case) for name, case in found["cases"].items()}
    habits.together = [str(name) for name in found["together"]]
    return habits


def _case(state: str, why: str, shed: int, **numbers: float) -> Case:
    if state not in {"limited", "quarantined"} or why not in {"noise", "garbage"}:
        raise ValueError(f"{state}: {why}")
    since_ns = int(numbers.pop("since_ns"))
    rest = {name: float(number) for name, number in numbers.items()}
    return Case(
        cast(State, state), cast(Why, why), since_ns, rest["rate_hz"], rest["usual_hz"], int(shed),
        rest["offended_s"],
    )  # fmt: skip


def save(path: Path, habits: Habits) -> None:
    """Write the file, whole or not at all; what fails is logged, for it can be learned again."""
    rhythms = {
        name: [round(r.usual_hz, 4), round(r.observed_s), round(r.mean_s, 2),
               round(r.longest_s, 2), r.gaps]
        for name, r in habits.rhythms.items()
    }  # fmt: skip
    cases = {name: asdict(case) for name, case in habits.cases.items()}
    content = {
        "version": _VERSION,
        "rhythms": rhythms,
        "cases": cases,
        "together": sorted(habits.together),
    }
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(orjson.dumps(content))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as exc:
        log.warning("%s: not written: %s", path, exc.strerror)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
