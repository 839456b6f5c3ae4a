"""What a check found, and what all checks are given."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.config import Settings

Document = dict[str, Any]
State = Literal["ok", "warn", "fail", "unseen"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        state: ``unseen``: it could not be looked at.
        says: What is there.
        do: What to do about it; "" where nothing is to be done.
    """

    state: State
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """What is known before the checks begin.

    Attributes:
        settings: The configuration; the defaults where it is wrong.
        problems: What is wrong with it.
        knows_state_dir: The state directory is the one that is meant.
        config: ``gateway.toml``; None for the defaults alone.
        status: What the running gateway says of itself; None when none answers.
        silence: Why none answers.
        is_root: All may be looked at.
    """

    settings: Settings
    problems: list[str] = field(default_factory=list)
    config: Path | None = None
    status: Document | None = None
    silence: str = ""
    is_root: bool = False
    knows_state_dir: bool = True


def ok(says: str) -> Finding:
    """Return that all is well."""
    return Finding("ok", says)


def warn(says: str, do: str) -> Finding:
    """Return what works now, and may not always."""
    return Finding("warn", says, do)


def fail(says: str, do: str) -> Finding:
    """Return what does not work."""
    return Finding("fail", says, do)


def unseen(says: str, do: str = "run it as root to see it") -> Finding:
    """Return what could not be looked at."""
    return Finding("unseen", says, do)
