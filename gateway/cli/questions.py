"""Commands that ask a running gateway: status, devices, deadletters, outcomes, sql."""

import time
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    out,
    print_json,
    settings,
    told,
)
from gateway.cli.console import table as new_table
from gateway.cli.text import moment, size, span, value
from gateway.client import ask

Document = dict[str, Any]


def status(
    config: ConfigOption = None, state_dir: StateOption = None, json: JsonOption = False
) -> None:
    """What it receives, keeps and has sent; what is unwell, and why.

    Example: weir status --json
    """
    with told():
        document = ask(settings(config, state_dir).socket_path, "/status")
    if json:
        print_json(document)
        return
    out.print(_overview(document))
    out.print()
    out.print(_plugins(document["plugins"]))
    for reason in [*document["plugins_set_aside"], *document["profiles"]["set_aside"]]:
        out.print(f"[yellow]set aside[/yellow] {reason}", markup=True)


def devices(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="topics no profile claims")] = False,
    json: JsonOption = False,
) -> None:
    """Devices with their firmware and newest readings.

    Example: weir devices --unknown
    """
    with told():
        path = settings(config, state_dir).socket_path
        found = ask(path, "/unclaimed" if unknown else "/devices")
    if json:
        print_json(found)
    elif unknown:
        rows = new_table("topic", "#messages", "last payload")
        for each in found:
            rows.add_row(each["topic"], str(each["messages"]), each["sample"][:60])
        out.print(rows if found else "every topic seen is claimed by a profile")
    else:
        out.print(_devices(found) if found else "no device has spoken yet")


def deadletters(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    limit: Annotated[int, typer.Option(help="newest N")] = 20,
    json: JsonOption = False,
) -> None:
    """Messages that could not be decoded: why, and a sample.

    Example: weir deadletters --limit 5
    """
    with told():
        found = ask(settings(config, state_dir).socket_path, f"/deadletters?limit={limit}")
    if json:
        print_json(found)
        return
    rows = new_table("time", "topic", "reason", "detail", "#bytes", "sample")
    for each in found:
        rows.add_row(
            moment(each["time"]), each["topic"], each["reason"], each["detail"][:40],
            str(each["bytes"]), each["sample"][:40],
        )  # fmt: skip
    out.print(rows if found else "no dead letters")


def sql(
    statement: Annotated[str, typer.Argument(help="one SELECT")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the feature store, while the gateway runs; only reading.

    Tables: reading, series, text_reading, waveform, outcome, device, watermark, dead_letter, and
    the view readings (time, source, device, metric, value, unit, profile).

    Example: weir sql "select device, metric, avg(value) from readings group by all"
    """
    with told():
        found = ask(settings(config, state_dir).socket_path, "/sql", statement)
    if json:
        print_json(found)
        return
    rows = new_table(*found["columns"])
    for row in found["rows"]:
        rows.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(rows)
    out.print(f"[dim]{len(found['rows'])} rows[/dim]")


def sent_outcomes(path: Any, limit: int) -> list[Document]:  # noqa: ANN401 - a Path
    """Return the newest outcomes that the gateway handed to its leaf."""
    found: list[Document] = ask(path, f"/outcomes?limit={limit}")
    return found


def _overview(document: Document) -> Table:
    messages, outcomes, hub = document["messages"], document["outcomes"], document["hub"]
    dead = sum(messages["dead_letters"].values())
    total = document["latency_ms"]["total"]
    rows = Table(box=None, show_header=False, pad_edge=False)
    ready = "[green]ready[/green]" if document["ready"] else "[red]not ready[/red]"
    rows.add_row(
        "gateway",
        f"{document['gateway']} {document['version']}, {ready}, up {span(document['uptime_s'])}",
    )
    broker = document["broker"]
    rows.add_row(
        "broker", broker["url"] + ("" if broker["connected"] else f" [red]{broker['reason']}[/red]")
    )
    rows.add_row(
        "messages",
        f"{messages['received']:,} received = {messages['stored']:,} stored"
        f" + {messages['duplicates']:,} duplicates + {dead:,} dead letters"
        f" + {messages['shed']:,} shed + {messages['in_hand']:,} in hand",
    )
    rows.add_row(
        "readings",
        f"{document['readings']['stored']:,} of {document['devices']} devices"
        f" in {size(document['store']['bytes'])}",
    )
    rows.add_row(
        "outcomes",
        f"{outcomes['sent']:,} sent, {outcomes['queued']:,} wait for the hub"
        + (f" (oldest {span(outcomes['oldest_s'])})" if outcomes["queued"] else ""),
    )
    rows.add_row("hub", _hub(hub))
    if total:
        rows.add_row("latency", f"message to outcome p50 {total['p50']} ms, p95 {total['p95']} ms")
    leaf = document["leaf"]
    rows.add_row(
        "leaf",
        ("answers" if leaf["ready"] else "[red]does not answer[/red]")
        + f", {size(leaf['rss_bytes'])}, {leaf['restarts']} restarts",
    )
    return rows


def _hub(hub: Document) -> str:
    if not hub["url"]:
        return "none set: outcomes are kept ([hub] url = ...)"
    if hub["up"]:
        return f"[green]up[/green], {hub['forwarded']:,} stored there"
    return f"[red]away[/red] {hub['last_error'] or ''}"


def _plugins(plugins: list[Document]) -> Table:
    rows = new_table(
        "plugin",
        "version",
        "health",
        "#windows",
        "#p95 ms",
        "#memory",
        "#restarts",
        "what is wrong",
    )
    for each in plugins:
        color = "green" if each["healthy"] else "red"
        p95 = each["latency_p95_ms"]
        wrong = each["trouble"] or ("" if each["healthy"] else each["reason"])
        rows.add_row(
            each["name"], each["version"], f"[{color}]{each['state']}[/{color}]",
            f"{each['windows']:,}", "" if p95 is None else f"{p95:.2f}", size(each["rss_bytes"]),
            str(each["restarts"]), wrong,
        )  # fmt: skip
    return rows


def _devices(found: list[Document]) -> Table:
    rows = new_table("device", "firmware", "source", "#messages", "last seen", "newest readings")
    now_ns = time.time_ns()
    for each in found:
        newest = ", ".join(
            f"{r['metric']} {value(r['value'], r['unit'])}" for r in each["readings"][:3]
        )
        more = len(each["readings"]) - 3
        rows.add_row(
            each["device"], each["profile"], each["source"], f"{each['messages']:,}",
            f"{span((now_ns - each['last_seen_ns']) / 1e9)} ago",
            newest + (f" and {more} more" if more > 0 else ""),
        )  # fmt: skip
    return rows
