"""``weir profile``: what is there, a test, a check, an explanation, a draft."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import orjson
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
from gateway.cli.text import counted, one_line
from gateway.client import ask
from gateway.errors import ConfigError
from gateway.model import Decoded, RawMessage, Reading, Waveform
from gateway.profiles import Catalog
from gateway.profiles.draft import as_yaml, draft_profile, draft_vectors
from gateway.profiles.explain import Explanation
from gateway.profiles.explain import explain as explain_message
from gateway.profiles.files import PROFILE_FILE
from gateway.profiles.lint import lint as lint_profile
from gateway.profiles.nearest import Nearness, Recognition
from gateway.profiles.vectors import (
    VECTORS_FILE,
    Vector,
    VectorResult,
    read_vectors,
    run_vectors,
)

_NOW_NS = 1_893_456_000 * 10**9  # as of vectors that do not say when they came
_SHOWN_DIFFERENCES = 4

profile = typer.Typer(
    help="Firmware profiles: what is there, a test, a check, a draft.\n\n"
    "Example: `weir profile list`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


@profile.command("list")
def list_(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Profiles that are there, in the order in which they are asked.

    Example: `weir profile list`
    """
    with told():
        catalog = _catalog(config, state_dir)[0]
    rows: list[dict[str, Any]] = [
        {
            "name": each.name,
            "title": each.title,
            "priority": each.priority,
            "rules": len(each.rules),
            "codecs": sorted({r.codec.name for r in catalog.profile(each.name).rules}),
            "folder": str(each.file.parent),
        }
        for each in catalog.profiles
    ]
    rejected = [str(error) for error in catalog.rejected]
    if json:
        print_json({"profiles": rows, "set_aside": rejected})
        return
    shown = table("profile", "title", "#priority", "#rules", "codecs", "folder")
    for row in rows:
        codecs = ", ".join(row["codecs"])
        shown.add_row(
            *cells(row["name"], row["title"], row["priority"], row["rules"], codecs, row["folder"])
        )
    out.print(shown if rows else "no profile is there")
    for reason in rejected:
        out.print(f"[yellow]set aside[/yellow] {escape(reason)}", soft_wrap=True)


@profile.command("show")
def show(
    name: Annotated[str, typer.Argument(help="a profile's name")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """A profile's topics, codecs and file.

    Example: `weir profile show tasmota`
    """
    with told():
        catalog = _catalog(config, state_dir)[0]
        info = next((each for each in catalog.profiles if each.name == name), None)
        if info is None:
            known = ", ".join(each.name for each in catalog.profiles)
            raise ConfigError([f"no profile {name!r}; there are: {known}"])
    rules = [
        {"topics": list(rule.topics), "not": list(rule.exclude), "codec": rule.codec.name}
        for rule in catalog.profile(name).rules
    ]
    document = {
        "name": name, "title": info.title, "docs": info.docs, "priority": info.priority,
        "file": str(info.file), "rules": rules,
    }  # fmt: skip
    if json:
        print_json(document)
        return
    out.print(f"[bold]{escape(info.title)}[/bold]  priority {info.priority}  {escape(info.docs)}")
    out.print(str(info.file), markup=False, soft_wrap=True)
    shown = table("#rule", "topics", "codec")
    for i, rule in enumerate(rules, start=1):
        shown.add_row(*cells(i, "\n".join(rule["topics"]), rule["codec"]))
    out.print(shown)


@profile.command("test")
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(help="a profile's folder, or one of several; default: all there are"),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", help="messages to decode: vectors.yaml or *.jsonl")
    ] = None,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Decode test vectors as the gateway would, and compare what comes out.

    Exit code 1 when one differs.

    Example: `weir profile test ~/my-profiles`
    """
    with told():
        if folder is not None and not folder.is_dir():
            raise ConfigError([f"{folder}: no such folder"])
        catalog, timezone = _catalog(config, state_dir, _parents(folder))
        chosen = read_vectors(vectors) if vectors else _own_vectors(catalog, folder)
        results = run_vectors(catalog, chosen, timezone)
    failed = [each for each in results if not each.passed]
    rejected = [str(error) for error in catalog.rejected]
    if json:
        print_json(
            {
                "total": len(results),
                "passed": len(results) - len(failed),
                "failed": [
                    {"id": r.id, "firmware": r.firmware, "difference": list(r.difference)}
                    for r in failed
                ],
                "set_aside": rejected,
            }
        )
    else:
        _print_results(results, failed)
        for reason in rejected:
            out.print(f"[yellow]set aside[/yellow] {escape(reason)}", soft_wrap=True)
    raise typer.Exit(1 if failed or (folder is not None and rejected) else 0)


@profile.command("lint")
def lint(
    file: Annotated[Path, typer.Argument(help="profile.yaml, or its folder")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Say all that is wrong with a profile, with line, key and reason; and what may be.

    Exit code 1 when it cannot be used or does not do what its vectors say.

    Example: `weir profile lint ~/my-profiles/meteo`
    """
    with told():
        chosen = settings(config, state_dir)
        path = file / PROFILE_FILE if file.is_dir() else file
        found = lint_profile(path.absolute(), chosen.profile_dirs, chosen.gateway.timezone)
    if json:
        print_json({"errors": list(found.errors), "warnings": list(found.warnings)})
    else:
        for problem in found.errors:
            out.print(f"[red]error[/red] {escape(problem)}", soft_wrap=True)
        for problem in found.warnings:
            out.print(f"[yellow]warning[/yellow] {escape(problem)}", soft_wrap=True)
        if not found.errors:
            out.print(f"[green]ok[/green] {escape(str(path))}", soft_wrap=True)
    raise typer.Exit(1 if found.errors else 0)


@profile.command("explain")
def explain(
    topic: Annotated[str, typer.Argument(help="the message's topic")],
    payload: Annotated[str, typer.Argument(help="its payload; @FILE: what a file holds")],
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
        catalog, timezone = _catalog(config, state_dir)
        message = RawMessage(topic, body, _NOW_NS, retained=retained)
        found = explain_message(catalog, message, timezone)
        near = [] if found.claims else Recognition(catalog).nearest(topic, body)
    if json:
        print_json(_explained(found, near))
    else:
        _print_explanation(topic, found, near)
    raise typer.Exit(0 if found.decoded else 1)


@profile.command("draft")
def draft(
    name: Annotated[str, typer.Argument(help="the new profile's name")],
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="how long to listen")] = 60.0,
    prefix: Annotated[str, typer.Option(help="only topics that begin so")] = "",
    directory: Annotated[
        Path | None, typer.Option("--dir", help="where; default: the gateway's drop-in folder")
    ] = None,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Listen to what no profile claims, and write a first profile with vectors from it.

    Needs a running gateway. What is guessed is for you to look over.

    Example: `weir profile draft meteo --seconds 60 --dir ~/my-profiles`
    """
    with told():
        chosen = settings(config, state_dir)
        folder = (directory or chosen.profile_dirs[-1]) / name
        if folder.exists():
            raise ConfigError([f"{folder}: is there already; choose another name or --dir"])
        if not json:
            out.print(f"listening for {seconds:g} s to topics that no profile claims ...")
        rows = ask(chosen.socket_path, "/unclaimed/listen", str(seconds), limit_s=seconds + 10)
        messages = [m for m in map(_heard, rows) if m.topic.startswith(prefix)]
        if not messages:
            raise ConfigError(["nothing came that no profile claims; try longer, or no --prefix"])
        files = _write_draft(folder, name, messages, chosen.gateway.timezone)
        near = Recognition(_catalog(config, state_dir)[0]).nearest(
            messages[0].topic, messages[0].payload
        )
    if json:
        print_json({"messages": len(messages), "files": files})
        return
    out.print(f"{counted(len(messages), 'message')}: wrote", *files, soft_wrap=True)
    for each in near:
        _print_near(each)
    out.print(f"look it over, then: weir profile lint {folder}", markup=False, soft_wrap=True)


def _catalog(
    config: Path | None, state_dir: Path | None, more: list[Path] | None = None
) -> tuple[Catalog, str]:
    chosen = settings(config, state_dir)
    timezone = chosen.gateway.timezone
    return Catalog.load([*chosen.profile_dirs, *(more or [])], timezone), timezone


def _parents(folder: Path | None) -> list[Path]:
    """Return the folder of profile folders that a user means."""
    if folder is None:
        return []
    folder = folder.absolute()
    return [folder.parent if (folder / PROFILE_FILE).exists() else folder]


def _own_vectors(catalog: Catalog, folder: Path | None) -> list[Vector]:
    within = folder.absolute() if folder else None
    found: list[Vector] = []
    for each in catalog.profiles:
        file = each.file.with_name(VECTORS_FILE)
        if file.exists() and (within is None or within in each.file.absolute().parents):
            found += read_vectors(file)
    return found


def _print_results(results: list[VectorResult], failed: list[VectorResult]) -> None:
    total = Counter(each.firmware for each in results)
    bad = Counter(each.firmware for each in failed)
    shown = table("firmware", "#passed", "#of")
    for firmware in sorted(total, key=str.lower):
        shown.add_row(*cells(firmware, total[firmware] - bad[firmware], total[firmware]))
    out.print(shown)
    for each in failed:
        out.print(f"[red]failed[/red] {escape(f'{each.firmware}: {each.id}')}", soft_wrap=True)
        for line in each.difference[:_SHOWN_DIFFERENCES]:
            out.print(f"  {line}", markup=False, soft_wrap=True)
    out.print(f"{len(results) - len(failed)} of {counted(len(results), 'vector')} passed")


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
            _print_near(each)
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


def _print_near(each: Nearness) -> None:
    why = "; ".join(each.why)
    out.print(f"near: profile {each.profile} ({each.score:.0%}): {why}", markup=False)


def _heard(row: dict[str, Any]) -> RawMessage:
    payload = bytes.fromhex(row["payload"])
    return RawMessage(row["topic"], payload, row["received_ns"], retained=row["retained"])


def _write_draft(folder: Path, name: str, messages: list[RawMessage], timezone: str) -> list[str]:
    """Write profile and vectors; a draft that does not load would be a mistake of ours."""
    folder.mkdir(parents=True)
    made, vectors = folder / PROFILE_FILE, folder / VECTORS_FILE
    made.write_text(as_yaml(draft_profile(name, messages)), encoding="utf-8")
    catalog = Catalog.load([folder.parent], timezone)
    drafted = orjson.loads(orjson.dumps(draft_vectors(catalog, messages)))
    vectors.write_text(as_yaml(drafted), encoding="utf-8")
    return [str(made), str(vectors)]
