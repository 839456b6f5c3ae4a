"""``weir demo``: a small plant, a gateway and a try-out hub, and what flows between them."""

import asyncio
from typing import Annotated

import typer
from rich.live import Live

from gateway.cli.console import JsonOption, err, out, print_json, told
from gateway.demo.show import Show, sums_problem
from gateway.demo.view import picture

_REDRAW_S = 0.25


def demo(
    seconds: Annotated[float, typer.Option(help="then stop and add up; 0: until Ctrl-C")] = 0.0,
    seed: Annotated[int, typer.Option(help="of the plant")] = 1,
    json: JsonOption = False,
) -> None:
    """Run a gateway, a try-out hub and six simulated devices, and show what flows.

    A pump wears out, its gateway notices, and the link to the hub is cut for a while. Exit code 0
    only if every message and every outcome is accounted for at the end.

    Example: `weir demo --seconds 30 --json`
    """
    with told():
        report = asyncio.run(_run(seconds, seed, live=not json))
    problem = sums_problem(report)
    if json:
        print_json(report)
    else:
        out.print(
            f"{report['received']:,} messages received = {report['stored_messages']:,} stored"
            f" + {report['duplicates']} duplicates + {report['dead_letters']} dead letters"
            f" + {report['shed']} shed; {report['readings']:,} readings;"
            f" {report['outcomes']} outcomes = {report['at_hub']} at the hub"
            f" + {report['queued']} queued"
        )
    if problem:
        err.print(f"[red]the sums do not add up:[/red] {problem}")
        raise typer.Exit(1)


async def _run(seconds: float, seed: int, *, live: bool) -> dict[str, object]:
    show = Show(seconds, seed)
    if not live:
        return await show.run()
    with Live(picture(show.scene), console=out, screen=out.is_terminal, auto_refresh=False) as view:

        async def redraw() -> None:
            while True:
                view.update(picture(show.scene), refresh=out.is_terminal)
                await asyncio.sleep(_REDRAW_S)

        drawing = asyncio.create_task(redraw())
        try:
            return await show.run()
        finally:
            drawing.cancel()
