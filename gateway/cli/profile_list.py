"""Commands that show which profiles are there: list, show."""

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
from gateway.config import SHIPPED
from gateway.errors import ConfigError
from gateway.profiles import Catalog


def list_(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Profiles that are there, in the order in which they are asked; all of it with `--json`.

    Example: `weir profile list`
    """
    with told():
        chosen = settings(config, state_dir)
        catalog = Catalog.load(chosen.profile_dirs, chosen.gateway.timezone)
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
    own = str(chosen.profile_dirs[-1])
    if json:
        print_json({"profiles": rows, "set_aside": rejected, "own_folder": own})
        return
    shown = table("!profile", "title", "#rules", "codecs")
    for row in rows:
        shown.add_row(*cells(row["name"], row["title"], row["rules"], ", ".join(row["codecs"])))
    out.print(shown if rows else "no profile is there")
    for row in rows:
        if not Path(row["folder"]).is_relative_to(SHIPPED):
            out.print(f"{row['name']} is yours: {row['folder']}", markup=False, soft_wrap=True)
    for reason in rejected:
        out.print(f"[yellow]set aside[/yellow] {escape(reason)}", soft_wrap=True)
    out.print(f"yours go into {own}", markup=False, soft_wrap=True)


def show(
    profile: Annotated[str, typer.Argument(help=ARGUMENT)],
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """A profile's topics, codecs and file.

    Example: `weir profile show tasmota`
    """
    with told():
        chosen = settings(config, state_dir)
        file = named(profile, chosen.profile_dirs)
        catalog = Catalog.load([file.parent], chosen.gateway.timezone)
        if catalog.rejected:
            raise ConfigError([str(error) for error in catalog.rejected])
        [info] = catalog.profiles
    rules = [
        {"topics": list(rule.topics), "not": list(rule.exclude), "codec": rule.codec.name}
        for rule in catalog.profile(info.name).rules
    ]
    document = {
        "name": info.name, "title": info.title, "docs": info.docs, "priority": info.priority,
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
