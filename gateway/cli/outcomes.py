"""``weir outcomes``: what was found, on the box or at a hub."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from gateway.cli.console import (
    ConfigOption,
    JsonOption,
    StateOption,
    out,
    print_json,
    settings,
    table,
    told,
)
from gateway.cli.questions import sent_outcomes
from gateway.cli.text import moment
from gateway.outcomes.reader import Told, outcomes_at_hub

_LOOK_S = 0.5
_WIDTHS = (8, 28, 10, 9)


def outcomes(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what comes")] = False,
    hub: Annotated[str, typer.Option(help="read them at a hub: nats://host:4222")] = "",
    limit: Annotated[int, typer.Option(help="newest N")] = 20,
    json: JsonOption = False,
) -> None:
    """What was found: newest outcomes of this gateway, or with --hub of all gateways there.

    Example: weir outcomes --follow --hub nats://127.0.0.1:4222
    """
    with told():
        try:
            if hub:
                asyncio.run(_at_hub(hub, limit, follow=follow, json=json))
            else:
                path = settings(config, state_dir).socket_path
                asyncio.run(_on_box(path, limit, follow=follow, json=json))
        except KeyboardInterrupt:
            return


async def _at_hub(url: str, limit: int, *, follow: bool, json: bool) -> None:
    if not json:
        out.print(_row("time", "gateway/source", "label", "score", "what"), style="bold")
    async for one in outcomes_at_hub(url, limit, follow=follow):
        if json:
            print_json({**one.content.model_dump(by_alias=True), "late": one.late})
        else:
            out.print(_line(one), markup=False)


def _line(one: Told) -> str:
    content = one.content
    late = " (late)" if one.late else ""
    return _row(
        moment(content.end_ms),
        f"{content.gateway}/{content.source}",
        content.label,
        f"{content.score:.4g}",
        f"{content.kind} {_numbers(content.numbers)}, {one.size_bytes} bytes{late}",
    )


async def _on_box(path: Path, limit: int, *, follow: bool, json: bool) -> None:
    seen: set[str] = set()
    found = sent_outcomes(path, limit)
    if not json and not found:
        out.print("no outcome yet: plugins tell when something changes (weir status shows them)")
    if not json and not follow and found:
        rows = table("time", "source", "label", "#score", "plugin", "#bytes", "numbers")
        for each in reversed(found):
            packet = orjson.loads(each["packet"])
            rows.add_row(
                moment(each["window_end"]), each["source"], each["label"], f"{each['score']:.4g}",
                each["plugin"], str(len(each["packet"].encode())), _numbers(packet.get("num", {})),
            )  # fmt: skip
        out.print(rows)
        return
    while True:
        for each in reversed(found):
            if each["id"] not in seen:
                seen.add(each["id"])
                _print_sent(each, json=json)
        if not follow:
            return
        await asyncio.sleep(_LOOK_S)
        found = sent_outcomes(path, 1000)


def _print_sent(each: dict[str, Any], *, json: bool) -> None:
    packet = orjson.loads(each["packet"])
    if json:
        print_json(packet)
        return
    line = _row(
        moment(each["window_end"]), each["source"], each["label"], f"{each['score']:.4g}",
        f"{each['plugin']} {_numbers(packet.get('num', {}))}",
    )  # fmt: skip
    out.print(line, markup=False)


def _row(*cells: str) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*padded, *cells[len(_WIDTHS) :]])


def _numbers(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {number:.3g}" for name, number in numbers.items())
