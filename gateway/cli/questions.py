"""Commands that ask a running gateway: status, devices, deadletters, sql."""

import time
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli import overview
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
from gateway.cli.text import ago, counted, moment, one_line, value
from gateway.client import ask

Document = dict[str, Any]

_SHOWN_READINGS = 3


def status(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """How the gateway is: what it received, keeps and has sent; what is unwell, and why.

    Exit code 1 when no gateway answers.

    Example: `weir status --json`
    """
    with told():
        document = ask(settings(config, state_dir).socket_path, "/status")
    if json:
        print_json(document)
    else:
        for part in overview.parts(document):
            out.print(part)


def devices(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", metavar="", help="topics that no profile claims")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Devices with their firmware and newest readings.

    Example: `weir devices --unknown`
    """
    with told():
        path = settings(config, state_dir).socket_path
        found = ask(path, "/unclaimed" if unknown else "/devices")
    if json:
        print_json(found)
    elif unknown:
        out.print(_unclaimed(found) if found else "every topic seen is claimed by a profile")
    else:
        out.print(_devices(found) if found else "no device has spoken yet")


def deadletters(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    limit: Annotated[int, typer.Option(min=1, help="newest N")] = 20,
    json: JsonOption = False,
) -> None:
    """Messages that could not be decoded: why, and a sample.

    Example: `weir deadletters --limit 5`
    """
    with told():
        found = ask(settings(config, state_dir).socket_path, f"/deadletters?limit={limit}")
    if json:
        print_json(found)
        return
    rows = table("!time", "topic", "why", "#bytes", "sample")
    for each in found:
        why = each["detail"] or each["reason"]
        rows.add_row(
            *cells(
                moment(each["time"]), each["topic"], one_line(why, 60), each["bytes"],
                one_line(each["sample"], 40),
            )
        )  # fmt: skip
    out.print(rows if found else "no dead letters")


def sql(
    statement: Annotated[str, typer.Argument(help="one SELECT")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the feature store while the gateway runs; only reading.

    Tables: `reading`, `series`, `text_reading`, `waveform`, `outcome`, `device`, `watermark`,
    `dead_letter`, and the view `readings` (time, source, device, metric, value, unit, profile).

    Example: `weir sql "select device, metric, avg(value) from readings group by all"`
    """
    with told():
        found = ask(settings(config, state_dir).socket_path, "/sql", statement)
    if json:
        print_json(found)
        return
    rows = table(*cells(*found["columns"]))
    for row in found["rows"]:
        rows.add_row(*cells(*row))
    out.print(rows)
    out.print(f"[dim]{counted(len(found['rows']), 'row')}[/dim]")


def _unclaimed(found: list[Document]) -> Table:
    rows = table("topic", "#messages", "!last", "last payload")
    now_ns = time.time_ns()
    for each in found:
        last = ago((now_ns - each["last_ns"]) / 1e9)
        rows.add_row(
            *cells(each["topic"], f"{each['messages']:,}", last, one_line(each["sample"], 60))
        )
    return rows


def _devices(found: list[Document]) -> Table:
    rows = table("device", "firmware", "source", "#messages", "!last seen", "newest readings")
    now_ns = time.time_ns()
    for each in found:
        shown = [
            f"{r['metric']} {value(r['value'], r['unit'])}"
            for r in each["readings"][:_SHOWN_READINGS]
        ]
        more = len(each["readings"]) - len(shown)
        newest = ", ".join(shown) + (f" and {more} more" if more else "")
        last = ago((now_ns - each["last_seen_ns"]) / 1e9)
        source = "" if each["source"] == each["device"] else each["source"]
        rows.add_row(
            *cells(each["device"], each["profile"], source, f"{each['messages']:,}", last, newest)
        )
    return rows
