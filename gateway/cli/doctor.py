"""``weir doctor``: what may be wrong with this box, and what to do."""

from dataclasses import asdict

import typer
from rich.markup import escape

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    configuration_file,
    out,
    print_json,
)
from gateway.doctor.examination import examine, look_at

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red", "unseen": "dim"}


def doctor(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Look for what may be wrong with this box, and say what to do about it.

    It changes nothing. Exit code 1 when something does not work.

    Example: `sudo weir doctor`
    """
    box = look_at(configuration_file(config), state_dir)
    counts = dict.fromkeys(_COLORS, 0)
    documents = []
    for number, (check, found) in enumerate(examine(box), start=1):
        counts[found.state] += 1
        if json:
            documents.append({"number": number, "check": check, **asdict(found)})
            continue
        state = f"[{_COLORS[found.state]}]{found.state:6}[/]"
        out.print(f"{number:3} {state} {check:13} {escape(found.says)}", soft_wrap=True)
        if found.do:
            out.print(f"{'':24} -> {escape(found.do)}", soft_wrap=True)
    if json:
        print_json({"findings": documents, **counts})
    else:
        told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        out.print(f"{told}" if counts["fail"] or counts["warn"] else f"{told}: all is well")
    raise typer.Exit(1 if counts["fail"] else 0)
