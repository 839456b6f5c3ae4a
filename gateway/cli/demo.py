"""``weir demo``: a small plant, a gateway and a try-out hub, and what flows between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer
from rich.live import Live

from gateway.cli.console import JsonOption, err, out, print_json, table, told
from gateway.cli.text import counted
from gateway.demo.show import Scene, Show, sums_problem
from gateway.demo.view import headline, picture

_REDRAW_S = 0.25


def demo(
    seconds: Annotated[
        float, typer.Option(min=0, help="then stop and add up; 0: until Ctrl-C")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="of the plant's noise")] = 1,
    json: JsonOption = False,
) -> None:
    """Run a gateway, a try-out hub, six simulated devices and a camera, and show what flows.

    A pump wears out, its gateway notices, and the link to the hub is cut for a while: after 20 s
    for 10 s, or halfway in a short run. Exit code 0 only if every message and every outcome is
    accounted for at the end.

    Example: `weir demo --seconds 30 --json`
    """
    with told():
        report = asyncio.run(_run(Show(seconds, seed), quiet=json))
    if json:
        print_json(report)
    else:
        _print_sums(report)
    problem = sums_problem(report)
    if problem:
        err.print(f"[red]the sums do not add up:[/red] {problem}")
        raise typer.Exit(1)


async def _run(show: Show, *, quiet: bool) -> dict[str, Any]:
    if quiet:
        return await show.run()
    drawing = _live(show.scene) if out.is_terminal else _told_in_lines(show.scene)
    async with drawing:
        return await show.run()


@asynccontextmanager
async def _live(scene: Scene) -> AsyncIterator[None]:
    """Draw the scene on a screen of its own until the block ends."""
    with Live(console=out, screen=True, auto_refresh=False, redirect_stderr=False) as view:

        async def redraw() -> None:
            while True:
                view.update(picture(scene, out.width, out.height), refresh=True)
                await asyncio.sleep(_REDRAW_S)

        task = asyncio.create_task(redraw())
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def _told_in_lines(scene: Scene) -> AsyncIterator[None]:
    """Print a line for all that happens, where there is no terminal to draw on."""

    async def follow() -> None:
        said = ""
        while True:
            if scene.said != said:
                said = scene.said
                out.print(headline(scene).plain.strip(), markup=False, soft_wrap=True)
            await asyncio.sleep(_REDRAW_S)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()


def _print_sums(report: dict[str, Any]) -> None:
    rows = table("!", "!")
    rows.show_header = False
    rows.add_row(
        "messages",
        f"{report['published']:,} sent by the devices = {report['received']:,} received = "
        f"{report['stored_messages']:,} stored",
    )
    rows.add_row(
        "",
        f"  + {counted(report['duplicates'], 'duplicate')}"
        f" + {counted(report['dead_letters'], 'dead letter')} + {report['shed']:,} shed",
    )
    rows.add_row("readings", f"{report['readings']:,}, all of which stayed on the box")
    rows.add_row("frames", f"{report['frames']:,} looked at, all of which stayed on the box")
    rows.add_row(
        "outcomes",
        f"{report['outcomes']:,} = {report['at_hub']:,} at the hub + {report['queued']:,} queued; "
        f"the largest packet had {report['packet_bytes_max']} bytes",
    )
    latency = report["latency_ms"]
    if latency["p50"] is not None:
        rows.add_row("latency", f"p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms")
    out.print(rows)
