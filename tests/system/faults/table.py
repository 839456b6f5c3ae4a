"""What came of the rounds, by kind of fault: as a table and as JSON."""

import statistics
from collections.abc import Iterable
from typing import Any

from tests.system.faults.books import Round

_COLUMNS = (
    ("fault", "fault"),
    ("rounds", "rounds"),
    ("readings", "readings"),
    ("outcomes", "outcomes"),
    ("lost", "lost"),
    ("lost by Mosquitto", "lost_by_mosquitto"),
    ("lost with a damaged file", "lost_with_file"),
    ("twice", "twice"),
    ("twice, before the upsert", "twice_raw"),
    ("out of order", "disordered"),
    ("recovery, median", "recovery_median_s"),
    ("worst", "recovery_worst_s"),
)


def by_kind(rounds: Iterable[Round]) -> list[dict[str, Any]]:
    """Return a row for each kind of fault, those of two at once together, and the sum."""
    groups: dict[str, list[Round]] = {}
    everything = list(rounds)
    for one in everything:
        name = one.kinds[0] if len(one.kinds) == 1 else "two at once"
        groups.setdefault(name, []).append(one)
    rows = [_row(name, some) for name, some in sorted(groups.items())]
    return [*rows, {**_row("all", everything), "recovery_median_s": None, "recovery_worst_s": None}]


def _row(name: str, rounds: list[Round]) -> dict[str, Any]:
    recoveries = [one.recovery_s for one in rounds if one.recovery_s is not None]
    return {
        "fault": name,
        "rounds": len(rounds),
        "readings": sum(one.sent for one in rounds),
        "outcomes": sum(one.outcomes for one in rounds),
        "lost": sum(one.lost_readings + one.lost_outcomes for one in rounds),
        "lost_by_mosquitto": sum(one.lost_by_mosquitto for one in rounds),
        "lost_with_file": sum(one.lost_with_file for one in rounds),
        "twice": sum(one.twice + one.twice_readings for one in rounds),
        "twice_raw": sum(one.twice_raw for one in rounds),
        "disordered": sum(one.disordered for one in rounds),
        "recovery_median_s": round(statistics.median(recoveries), 2) if recoveries else None,
        "recovery_worst_s": round(max(recoveries), 2) if recoveries else None,
        "settled": sum(one.is_settled for one in rounds),
        "problems": sum(bool(one.problems) for one in rounds),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return a table."""
    lines = [
        "| " + " | ".join(title for title, _ in _COLUMNS) + " |",
        "|---" + "|---:" * (len(_COLUMNS) - 1) + "|",
    ]
    for row in rows:
        cells = (_cell(key, row[key]) for _, key in _COLUMNS)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(key: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f} s" if key.endswith("_s") else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
