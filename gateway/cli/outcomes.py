"""``weir outcomes``: what was found, on the box or at a hub."""

import asyncio
import time
from collections.abc import Iterator
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
    told,
)
from gateway.cli.text import numbers, stamp
from gateway.client import ask
from gateway.config import without_login
from gateway.errors import GatewayError
from gateway.outcomes.link import LinkError
from gateway.outcomes.reader import Told, outcomes_at_hub

_LOOK_S = 0.5
_LOOK_BACK = 1000
_WIDTHS = (14, 22, 9, 7, 5)

Document = dict[str, Any]


class HubAwayError(GatewayError):
    """No hub answers at the address given."""

    code = "hub_away"


def outcomes(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", metavar="", help="go on with what comes")
    ] = False,
    hub: Annotated[str, typer.Option(help="read them at a hub: nats://host:4222")] = "",
    limit: Annotated[int, typer.Option(min=1, max=_LOOK_BACK, help="newest N")] = 20,
    json: JsonOption = False,
) -> None:
    """What was found: the newest outcomes of this gateway, or with --hub of all gateways there.

    The older first, times in UTC. With --json a packet a line, as it left.

    Example: `weir outcomes --follow --hub nats://127.0.0.1:4222`
    """
    with told():
        try:
            if hub:
                asyncio.run(_at_hub(hub, limit, follow=follow, json=json))
            else:
                path = settings(config, state_dir).socket_path
                _on_box(path, limit, follow=follow, json=json)
        except KeyboardInterrupt:  # the way to end --follow
            return


async def _at_hub(url: str, limit: int, *, follow: bool, json: bool) -> None:
    first = True
    try:
        async for one in outcomes_at_hub(url, limit, follow=follow):
            if json:
                print_json({**one.content.model_dump(by_alias=True), "late": one.late})
                continue
            if first:
                _print_header("gateway/source")
            first = False
            _print_row(_of_hub(one))
    except LinkError as exc:
        raise HubAwayError(f"no hub with outcomes answers at {without_login(url)}: {exc}") from exc
    if first and not json:
        out.print("no outcome has arrived there yet")


def _on_box(path: Path, limit: int, *, follow: bool, json: bool) -> None:
    seen: set[str] = set()
    first = True
    for each in _sent(path, limit, follow=follow):
        if each["id"] in seen:
            continue
        seen.add(each["id"])
        packet = orjson.loads(each["packet"])
        if json:
            print_json(packet)
            continue
        if first:
            _print_header("source")
        first = False
        _print_row(_of_box(each, packet))
    if first and not json:
        out.print("no outcome yet: a plugin tells one when what it finds changes (weir status)")


def _sent(path: Path, limit: int, *, follow: bool) -> Iterator[Document]:
    """Yield what the gateway handed to its leaf, the older first; some of it again and again."""
    yield from reversed(ask(path, f"/outcomes?limit={limit}"))
    while follow:
        time.sleep(_LOOK_S)
        yield from reversed(ask(path, f"/outcomes?limit={_LOOK_BACK}"))


def _of_hub(one: Told) -> list[str]:
    content = one.content
    late = "  (late: after an outage)" if one.late else ""
    return [
        stamp(content.end_ms), f"{content.gateway}/{content.source}", content.label,
        f"{content.score:.4g}", str(one.size_bytes),
        f"{content.kind}  {numbers(content.numbers)}".rstrip() + late,
    ]  # fmt: skip


def _of_box(each: Document, packet: Document) -> list[str]:
    return [
        stamp(each["window_end"]), each["source"], each["label"], f"{each['score']:.4g}",
        str(len(each["packet"].encode())),
        f"{packet['kind']}  {numbers(packet.get('num', {}))}".rstrip(),
    ]  # fmt: skip


def _print_header(source: str) -> None:
    out.print(
        _row(["time (UTC)", source, "label", "score", "bytes", "what was found"]), style="bold"
    )


def _print_row(row: list[str]) -> None:
    out.print(_row(row), markup=False, soft_wrap=True)


def _row(row: list[str]) -> str:
    """Return cells in columns; each row is printed when it is there, so widths are fixed."""
    padded = [cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=False)]
    return "  ".join([*padded, *row[len(_WIDTHS) :]])
