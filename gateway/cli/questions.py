"""Commands that ask a running gateway: status, devices, deadletters, sql."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
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
from gateway.cli.text import ago, counted, moment, one_line, span, value
from gateway.client import ask
from gateway.config import Settings

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
    """Devices with their firmware and newest readings, and whether they are there.

    Online: `yes` and `no` by the device's own word; `heard` and `silent` where it gives none;
    `limited` and `quarantined` are too loud, see `weir device release`.

    Example: `weir devices --unknown`
    """
    with told():
        chosen = settings(config, state_dir)
        found = ask(chosen.socket_path, "/unclaimed" if unknown else "/devices")
        if unknown:
            _add_nearest(found, chosen)
        noisy = [] if unknown else _noisy(chosen.socket_path)
        nothing = "" if found or json else _nothing(chosen.socket_path, unknown=unknown)
    if json:
        print_json(found)
    else:
        out.print(nothing or (_unclaimed(found) if unknown else _devices(found)))
        for line in noisy:
            out.print(line)


def _noisy(path: Path) -> list[str]:
    """Say of each device that is limited or quarantined why, and what to do."""
    cases = ask(path, "/status")["noisy"]
    lines = [overview.noisy(case) for case in cases]
    return [*lines, "[dim]to release one: weir device release NAME[/dim]"] if lines else []


def _add_nearest(found: list[Document], chosen: Settings) -> None:
    """Say of each topic which profiles come nearest, and why."""
    if not found:
        return
    # Not in the gateway: this reads all profiles with their vectors, which takes a second.
    from gateway.profiles import Catalog  # noqa: PLC0415 - only when it is asked for
    from gateway.profiles.nearest import Recognition  # noqa: PLC0415

    known = Recognition(Catalog.load(chosen.profile_dirs, chosen.gateway.timezone))
    for each in found:
        near = known.nearest(each["topic"], bytes.fromhex(each.pop("payload")))
        each["nearest"] = [{"profile": n.profile, "score": n.score, "why": n.why} for n in near]


def _nothing(path: Path, *, unknown: bool) -> str:
    """Say why there is nothing to list."""
    status = ask(path, "/status")
    broker = status["broker"]
    if not status["messages"]["received"]:
        away = "" if broker["connected"] else f": the broker is away: {escape(broker['reason'])}"
        return f"no message has come since the start{away}"
    if not unknown:
        return "no device has spoken yet; weir devices --unknown lists topics without a profile"
    if broker["takes_all"]:
        return "every topic seen is claimed by a profile"
    return (
        "every topic seen is claimed by a profile, and only what profiles ask for is taken in:\n"
        'all is with \\[mqtt] topics = \\["#"]; weir profile draft listens to all for a minute'
    )


def deadletters(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    limit: Annotated[int, typer.Option(min=1, help="newest N")] = 20,
    json: JsonOption = False,
) -> None:
    """Messages that could not be decoded, or only in part: why, and a sample.

    Example: `weir deadletters --limit 5`
    """
    with told():
        found = ask(settings(config, state_dir).socket_path, f"/deadletters?limit={limit}")
    if json:
        print_json(found)
        return
    rows = table("!time", "topic", "profile", "why", "#bytes", "sample")
    for each in found:
        rows.add_row(
            *cells(
                moment(each["time"]), each["topic"], each["profile"], one_line(_why(each), 60),
                each["bytes"], one_line(each["sample"], 40),
            )
        )  # fmt: skip
    out.print(rows if found else "no dead letters")


def _why(letter: Document) -> str:
    if letter["reason"] == "unclaimed":
        return "no profile claims it: see weir devices --unknown"
    if letter["reason"] == "partly":
        return f"stored without {letter['detail']}"
    return str(letter["detail"] or letter["reason"])


def sql(
    statement: Annotated[str, typer.Argument(help="one SELECT")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the feature store while the gateway runs; only reading.

    Tables: `reading`, `series`, `text_reading`, `waveform`, `outcome`, `device`, `watermark`,
    `dead_letter`, and the view `readings` (time, source, device, metric, value, text, unit,
    profile): texts have no value, and a switch has both, `true` or `false` as its text.

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
    rows = table("topic", "#messages", "!last", "last payload", "nearest profiles")
    now_ns = time.time_ns()
    for each in found:
        last = ago((now_ns - each["last_ns"]) / 1e9)
        near = "\n".join(f"{n['profile']}: {'; '.join(n['why'])}" for n in each["nearest"])
        rows.add_row(
            *cells(
                each["topic"], f"{each['messages']:,}", last, one_line(each["sample"], 60),
                near or "none",
            )
        )  # fmt: skip
    return rows


def _devices(found: list[Document]) -> Table:
    rows = table(
        "device", "!online", "firmware", "source", "#messages", "!last heard", "newest readings"
    )
    now_ns = time.time_ns()
    for each in found:
        silent_s = (now_ns - each["last_seen_ns"]) / 1e9
        source = "" if each["source"] == each["device"] else each["source"]
        rows.add_row(
            *cells(
                each["device"], _online(each, silent_s), each["profile"], source,
                f"{each['messages']:,}", ago(silent_s), _newest(each["readings"]),
            )
        )  # fmt: skip
    return rows


def _online(device: Document, silent_s: float) -> str:
    """Return whether a device is there, and what says so: its own word, or how long ago it was."""
    if device["noisy"]:
        return str(device["noisy"]["state"])
    match device["online_by"], device["online"]:
        case "own word", online:
            return "yes" if online else "no (own word)"
        case "revoked", _:
            return "no (revoked)"
        case "parent", _:
            return f"no ({device['parent']} is away)"
        case _, True:
            return "heard"
    return f"silent {span(silent_s)}"


def _newest(readings: list[Document]) -> str:
    """Return some readings: what a device measures before what its profile says of it."""
    told = [r for r in readings if r["metric"] != "$online"]
    told.sort(key=lambda r: r["metric"].startswith("$"))
    shown = [f"{r['metric']} {value(r['value'], r['unit'])}" for r in told[:_SHOWN_READINGS]]
    more = len(told) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
