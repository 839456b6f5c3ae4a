"""The command that shows what a profile makes of a message: explain."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    cells,
    out,
    print_json,
    settings,
    table,
    told,
)
from gateway.cli.profile_named import ARGUMENT, named
from gateway.cli.text import one_line
from gateway.errors import ConfigError
from gateway.model import Decoded, RawMessage, Reading, Waveform
from gateway.profiles import Catalog
from gateway.profiles.explain import Explanation
from gateway.profiles.explain import explain as explain_message
from gateway.profiles.nearest import Nearness, Recognition
from gateway.profiles.vectors import DEFAULT_RECEIVED_NS


def explain(
    topic: Annotated[str, typer.Argument(help="the message's topic")],
    payload: Annotated[str, typer.Argument(help="its payload; @FILE: what a file holds")],
    profile: Annotated[
        str | None, typer.Option("--profile", help=f"as if only this one were there: {ARGUMENT}")
    ] = None,
    hex_: Annotated[bool, typer.Option("--hex", metavar="", help="the payload is in hex")] = False,
    retained: Annotated[bool, typer.Option("--retained", metavar="")] = False,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Which rule takes a message, what each expression gave, and why a value was dropped.

    Of a message that no rule takes: which profiles come nearest, and why.

    Example: `weir profile explain tele/plug/SENSOR '{"ENERGY":{"Power":12}}'`
    """
    with told():
        body = _payload(payload, in_hex=hex_)
        chosen = settings(config, state_dir)
        dirs, timezone = chosen.profile_dirs, chosen.gateway.timezone
        catalog = (
            Catalog.load(dirs, timezone) if profile is None else _alone(profile, dirs, timezone)
        )
        message = RawMessage(topic, body, DEFAULT_RECEIVED_NS, retained=retained)
        found = explain_message(catalog, message, timezone)
        near = [] if found.claims or profile else Recognition(catalog).nearest(topic, body)
    if json:
        print_json(_explained(found, near))
    else:
        _print_explanation(topic, found, near)
    raise typer.Exit(0 if found.decoded else 1)


def print_near(each: Nearness) -> None:
    """Print how near a profile is, and why."""
    why = "; ".join(each.why)
    out.print(
        f"near: profile {each.profile} ({each.score:.0%}): {why}", markup=False, soft_wrap=True
    )


def _alone(said: str, dirs: list[Path], timezone: str) -> Catalog:
    catalog = Catalog.load([named(said, dirs).parent], timezone)
    if catalog.rejected:
        raise ConfigError([str(error) for error in catalog.rejected])
    return catalog


def _payload(text: str, *, in_hex: bool) -> bytes:
    try:
        body = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        return bytes.fromhex(body.decode()) if in_hex else body
    except (OSError, ValueError) as exc:
        raise ConfigError([f"payload: {exc}"]) from exc


def _explained(found: Explanation, near: list[Nearness]) -> dict[str, Any]:
    claims = [{"profile": c.profile, "rule": c.rule, "pattern": c.pattern} for c in found.claims]
    decoded = found.decoded
    return {
        "claims": claims,
        "steps": [{"where": n.where, "says": n.says, "gave": n.gave} for n in found.notes],
        "readings": _rows(decoded) if decoded else [],
        "refused": found.refused,
        "nearest": [{"profile": n.profile, "score": n.score, "why": list(n.why)} for n in near],
    }


def _rows(decoded: Decoded) -> list[dict[str, Any]]:
    return [*map(_row, decoded.readings), *map(_row, decoded.waveforms)]


def _row(found: Reading | Waveform) -> dict[str, Any]:
    value = found.value if isinstance(found, Reading) else f"{len(found.samples)} samples"
    own = found.own_time if isinstance(found, Reading) else None
    return {
        "device": found.device, "metric": found.metric, "value": value, "unit": found.unit,
        "time_ns": found.time_ns, "own_time": own,
    }  # fmt: skip


def _print_explanation(topic: str, found: Explanation, near: list[Nearness]) -> None:
    for i, claim in enumerate(found.claims):
        first = "[green]taken by[/green]" if i == 0 else "[dim]would also fit[/dim]"
        said = f"profile {claim.profile}, rule {claim.rule}: {claim.pattern}"
        out.print(f"{first} {escape(said)}", soft_wrap=True)
    if not found.claims:
        out.print(f"no profile takes {topic}", markup=False)
        for each in near:
            print_near(each)
        return
    steps = table("!where", "says", "gave")
    for note in found.notes:
        steps.add_row(*cells(note.where, note.says, note.gave))
    out.print(steps)
    if found.refused:
        out.print(f"[red]refused[/red] {escape(found.refused)}", soft_wrap=True)
        return
    rows = table("device", "metric", "value", "unit", "time")
    for row in _explained(found, near)["readings"]:
        when = "the device's own" if row["own_time"] else "arrival"
        value = one_line(str(row["value"]), 60)
        rows.add_row(*cells(row["device"], row["metric"], value, row["unit"], when))
    out.print(rows)
