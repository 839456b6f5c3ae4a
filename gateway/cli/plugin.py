"""``weir plugin``: what runs, a test of one, and a new one to begin from."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import orjson
import typer
from rich.markup import escape

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    cells,
    complain,
    out,
    print_json,
    settings,
    table,
    told,
)
from gateway.cli.text import counted
from gateway.client import NotRunningError, ask
from gateway.inference.detector_scaffold import new_detector
from gateway.inference.directory import PluginDirectory
from gateway.inference.scaffold import check_plugin, new_plugin

plugin = typer.Typer(
    help="Plugins: what runs, a test of one, a new one.\n\nExample: `weir plugin list`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


@plugin.command("list")
def list_(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """Plugins that are there, and how they are if the gateway runs.

    Example: `weir plugin list`
    """
    with told():
        chosen = settings(config, state_dir)
        found = PluginDirectory(chosen.plugin_dirs, chosen.plugins.disabled).scan()
        try:
            running = ask(chosen.socket_path, "/status")
        except NotRunningError:
            running = {"plugins": [], "plugins_set_aside": []}
        health = {each["name"]: each for each in running["plugins"]}
    rows = [
        {
            "name": name,
            "version": each.manifest.version,
            "title": each.manifest.title,
            "state": health.get(name, {}).get("state", "not running"),
            "folder": str(each.manifest.folder),
        }
        for name, each in sorted(found.plugins.items())
    ]
    # What the model is like, only the gateway knows: it has loaded it.
    here = [str(error) for error in found.rejected]
    rejected = [*here, *(each for each in running["plugins_set_aside"] if each not in here)]
    if json:
        print_json({"plugins": rows, "set_aside": rejected})
        return
    shown = table("plugin", "!state", "title", "folder")
    for row in rows:
        name = f"{row['name']} {row['version']}"
        shown.add_row(*cells(name, row["state"], row["title"], row["folder"]))
    out.print(shown if rows else "no plugin is there")
    for reason in rejected:
        out.print(f"[yellow]set aside[/yellow] {escape(reason)}", soft_wrap=True)


@plugin.command("test")
def check(
    folder: Annotated[Path, typer.Argument(help="a plugin's folder")], json: JsonOption = False
) -> None:
    """Run a plugin's test cases in a process of its own, as the gateway would.

    Example: `weir plugin test plugins/machine-anomaly`
    """
    with told():
        report = asyncio.run(check_plugin(folder))
    if json:
        print_json({"ok": report.ok, "cases": report.cases, "log": report.log})
    else:
        for name, wrong in report.cases.items():
            said = f"[red]failed[/red] {escape(name)}: {escape(wrong)}"
            out.print(said if wrong else f"[green]ok[/green] {escape(name)}", soft_wrap=True)
        for line in report.log if not report.ok else ():
            out.print(f"  {line}", markup=False, soft_wrap=True)
        if not report.cases:
            out.print("no testcases/ in this plugin: it loads, and no more is known of it")
    raise typer.Exit(0 if report.ok else 1)


@plugin.command("new")
def new(
    name: Annotated[str, typer.Argument(help="letters, digits, - and _")],
    directory: Annotated[Path, typer.Option("--dir", help="where")] = Path(),
    code: Annotated[bool, typer.Option("--code", metavar="", help="with a plugin.py")] = False,
    detector: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="an .onnx or .xml that finds objects")
    ] = None,
) -> None:
    """Make a small plugin that works, to begin from.

    With a detector, one that counts what it finds in the cameras' pictures.

    Example: `weir plugin new people --detector yolo11n.onnx --dir plugins`
    """
    with told():
        if detector:
            folder, found = new_detector(name, directory, detector)
            for line in found.told:
                out.print(f"- {line}", markup=False, soft_wrap=True)
        else:
            folder = new_plugin(name, directory, code=code)
    out.print(
        f"{folder}: change plugin.toml, then\n  weir plugin test {folder}",
        markup=False,
        soft_wrap=True,
    )


@plugin.command("forget")
def forget(
    name: Annotated[str, typer.Argument(help="of a plugin that runs")],
    source: Annotated[
        list[str] | None, typer.Option(help="a device or asset; may be repeated; default: all")
    ] = None,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Let a plugin learn anew what is normal, after a repair or a change of regime.

    Example: `weir plugin forget machine-anomaly --source pump-1`
    """
    with told():
        body = orjson.dumps(source or []).decode()
        path = settings(config, state_dir).socket_path
        found = ask(path, f"/plugins/{quote(name, safe='')}/forget", body)
    if json:
        print_json(found)
    else:
        out.print(f"{counted(found['forgotten'], 'source')} forgotten; it begins anew")
    if source and found["forgotten"] < len(source):
        complain(f"{name} knows only {counted(found['forgotten'], 'source')} of those")
        raise typer.Exit(1)
