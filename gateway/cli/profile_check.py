"""Commands that say whether a profile does what it should: test, lint."""

from collections import Counter
from pathlib import Path
from typing import Annotated

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
from gateway.cli.text import counted
from gateway.profiles import Catalog
from gateway.profiles.folders import PROFILE_FILE
from gateway.profiles.lint import lint as lint_profile
from gateway.profiles.vectors import (
    VECTORS_FILE,
    Vector,
    VectorResult,
    read_vectors,
    run_vectors,
    uncompared,
)

_SHOWN_DIFFERENCES = 4


def check(
    profile: Annotated[
        str | None, typer.Argument(help=f"{ARGUMENT}, or a folder of several; default: all")
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
        chosen = settings(config, state_dir)
        folder = None if profile is None else _folder(profile, chosen.profile_dirs)
        timezone = chosen.gateway.timezone
        catalog = Catalog.load([*chosen.profile_dirs, *([folder] if folder else [])], timezone)
        asked = read_vectors(vectors) if vectors else _own_vectors(catalog, folder)
        left_out = uncompared(vectors) if vectors and vectors.suffix == ".jsonl" else []
        results = run_vectors(catalog, asked, timezone)
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
                "not_compared": left_out,
                "set_aside": rejected,
            }
        )
    else:
        _print_results(results, failed)
        if left_out:
            out.print(f"not compared, for no reading has it: {', '.join(left_out)}", markup=False)
        for reason in rejected:
            out.print(f"[yellow]set aside[/yellow] {escape(reason)}", soft_wrap=True)
    raise typer.Exit(1 if failed or (folder is not None and rejected) else 0)


def lint(
    profile: Annotated[str, typer.Argument(help=ARGUMENT)],
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
        file = named(profile, chosen.profile_dirs)
        found = lint_profile(file, chosen.profile_dirs, chosen.gateway.timezone)
    if json:
        print_json({"errors": list(found.errors), "warnings": list(found.warnings)})
    else:
        for problem in found.errors:
            out.print(f"[red]error[/red] {escape(problem)}", soft_wrap=True)
        for problem in found.warnings:
            out.print(f"[yellow]warning[/yellow] {escape(problem)}", soft_wrap=True)
        if not found.errors:
            out.print(f"[green]ok[/green] {escape(str(file))}", soft_wrap=True)
    raise typer.Exit(1 if found.errors else 0)


def _folder(said: str, dirs: list[Path]) -> Path:
    """Return the folder of the profile that is meant, or of several."""
    path = Path(said)
    if path.is_dir() and any(path.glob(f"*/{PROFILE_FILE}")):
        return path.absolute()
    return named(said, dirs).parent


def _own_vectors(catalog: Catalog, folder: Path | None) -> list[Vector]:
    found: list[Vector] = []
    for each in catalog.profiles:
        file = each.file.with_name(VECTORS_FILE)
        if file.exists() and (folder is None or folder in each.file.absolute().parents):
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
