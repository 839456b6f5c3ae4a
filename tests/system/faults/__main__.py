"""Faults under load; returns 0 if every promise held in every round.

python -m tests.system.faults --seed 1 --rounds 1000
python -m tests.system.faults --seed 1 --from-round 137 --rounds 1
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.system.faults.books import Round
from tests.system.faults.damage import DAMAGES, Damage
from tests.system.faults.disk import missing
from tests.system.faults.kinds import BY_NAME, possible
from tests.system.faults.runner import PAIR_SHARE, Plan, Played, play
from tests.system.faults.table import by_kind, markdown
from tests.system.faults.world import Layout

_ROOT = Path(__file__).parents[3]


def main() -> int:
    """Play and report."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="weir-faults-", dir=options.folder))
    plan = _plan(options, folder)
    _say(f"seed {plan.seed}; rounds {plan.from_round} to {plan.from_round + plan.rounds - 1}")
    played = play(plan, _tell)
    report(played, options.out)
    if played.evidence:
        _say(f"evidence: {' '.join(played.evidence)}")
        return 1
    shutil.rmtree(folder)
    return 0


def report(played: Played, out: Path) -> None:
    """Print the table, and write it with every round beside."""
    rows = by_kind(played.rounds)
    table = markdown(rows)
    _say(f"\n{table}\nseed {played.seed}, {len(played.rounds)} rounds in {played.took_s:.0f} s")
    out.mkdir(parents=True, exist_ok=True)
    (out / "faults.md").write_text(table)
    content = {
        "seed": played.seed,
        "took_s": round(played.took_s, 1),
        "kinds": rows,
        "rounds": [asdict(one) for one in played.rounds],
    }
    (out / "faults.json").write_text(json.dumps(content, indent=1))
    for one in played.rounds:
        if not one.is_good:
            _say(f"BAD: seed {played.seed}, {_line(one)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--from-round", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], help=f"one of {list(BY_NAME)}")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="at most")
    parser.add_argument("--short", action="store_true", help="only quick kinds")
    parser.add_argument("--layout", choices=("embedded", "mosquitto", "both"), default="both")
    parser.add_argument("--folder", type=Path, help="for the boxes; default: as tempfile says")
    parser.add_argument("--out", type=Path, default=_ROOT / "build" / "faults")
    return parser.parse_args()


def _plan(options: argparse.Namespace, folder: Path) -> Plan:
    reason = missing(folder)
    if reason:
        _say(f"without power cuts and full disks: {reason}")
    layouts = [Layout("", not reason)] * 4 + [Layout(_mosquitto(), not reason)]
    if options.layout != "both":
        layouts = [each for each in layouts if each.name == options.layout]
    kinds = {
        name: possible(name, disks=not reason, short=options.short) for name in {*_names(layouts)}
    }
    damages: tuple[Damage, ...] = DAMAGES
    if options.only:
        damages = tuple(each for each in DAMAGES if each.name in options.only)
        kinds = {name: [k for k in some if k.name in options.only] for name, some in kinds.items()}
    if not damages:
        layouts = [each for each in layouts if kinds[each.name]]
    return Plan(
        seed=options.seed,
        rounds=options.rounds,
        folder=folder,
        layouts=layouts,
        kinds=kinds,
        damages=damages,
        from_round=options.from_round,
        limit_s=options.minutes * 60,
        pair_share=0.0 if options.only else PAIR_SHARE,
    )


def _names(layouts: list[Layout]) -> list[str]:
    return [layout.name for layout in layouts]


def _mosquitto() -> str:
    for program in (_ROOT / ".tools/bin/mosquitto", Path("/usr/sbin/mosquitto")):
        if program.is_file():
            return str(program)
    return ""


def _tell(one: Round) -> None:
    _say(_line(one))


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is for whoever started it


def _line(one: Round) -> str:
    recovery = "" if one.recovery_s is None else f"{one.recovery_s:6.2f} s"
    even = "even" if one.is_settled else "open"
    what = " + ".join(one.kinds)
    wrong = {
        key: value
        for key, value in asdict(one).items()
        if key.startswith(("lost", "twice", "disordered")) and value
    }
    said = (
        f"round {one.number:4} {one.layout:9} {what:<34} {recovery:>9} {even} {one.took_s:5.1f} s"
    )
    return f"{said} {wrong or ''} {' '.join(one.notices)} {'; '.join(one.problems)}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
