"""What a person sees of the demo."""

import time
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.demo.show import Scene

_DEVICE_READINGS = 2


def picture(scene: Scene) -> RenderableType:
    """Return the screen: flow, devices, plugins, outcomes."""
    seconds = time.monotonic() - scene.began
    style = "bold white on red" if scene.link_cut else "bold"
    parts: list[RenderableType] = [Text(f" {seconds:4.0f} s  {scene.said} ", style=style)]
    if scene.status:
        parts += [_flow(scene), _devices(scene), _plugins(scene.status), _outcomes(scene)]
    parts.append(Text("Ctrl-C stops and adds up", style="dim"))
    return Group(*parts)


def _flow(scene: Scene) -> Panel:
    status = scene.status
    messages, outcomes = status["messages"], status["outcomes"]
    total = status["latency_ms"]["total"]
    latency = f"p50 {total['p50']:.1f} ms  p95 {total['p95']:.1f} ms" if total else "-"
    link = "[red]cut[/red]" if not status["hub"]["up"] else "[green]up[/green]"
    dead = sum(messages["dead_letters"].values())
    return Panel(
        f"[b]{messages['received']:,}[/b] messages  →  [b]{scene.readings_per_s:.0f}[/b] readings/s"
        f" ({status['readings']['stored']:,} kept here)  →  [b]{outcomes['sent']}[/b] outcomes"
        f"  →  [b]{outcomes['queued']}[/b] queued  →  link {link}  →  "
        f"[b]{scene.at_hub}[/b] at the hub\n"
        f"message to outcome {latency}     dead letters {dead}, duplicates "
        f"{messages['duplicates']}, shed {messages['shed']}",
        title="what flows",
        title_align="left",
    )


def _devices(scene: Scene) -> Panel:
    rows = _table("device", "firmware", "#messages", "newest readings")
    for device in scene.devices:
        newest = "   ".join(
            f"{r['metric']} {r['value']:.4g} {r['unit'] or ''}".rstrip()
            for r in device["readings"][:_DEVICE_READINGS]
        )
        firmware = scene.firmware.get(device["device"], device["profile"])
        rows.add_row(device["device"], firmware, f"{device['messages']:,}", newest)
    return Panel(rows, title="devices", title_align="left")


def _plugins(status: dict[str, Any]) -> Panel:
    rows = _table("plugin", "health", "#windows", "#p50 ms", "#p95 ms", "#memory MB", "trouble")
    for plugin in status["plugins"]:
        color = "green" if plugin["healthy"] else "red"
        rows.add_row(
            f"{plugin['name']} {plugin['version']}",
            f"[{color}]{plugin['state']}[/{color}]",
            f"{plugin['windows']:,}",
            _number(plugin["latency_p50_ms"]),
            _number(plugin["latency_p95_ms"]),
            f"{plugin['rss_bytes'] / 1e6:.0f}",
            plugin["trouble"],
        )
    return Panel(rows, title="plugins", title_align="left")


def _outcomes(scene: Scene) -> Panel:
    rows = _table("time", "source", "label", "#score", "why", "#bytes", "")
    for told in scene.outcomes:
        content = told.content
        color = "green" if content.label == "normal" else "yellow"
        why = ", ".join(f"{name} {share:.0%}" for name, share in content.numbers.items())
        rows.add_row(
            time.strftime("%H:%M:%S", time.gmtime(content.end_ms / 1000)),
            content.source,
            f"[{color}]{content.label}[/{color}]",
            f"{content.score:.2f}",
            why,
            str(told.size_bytes),
            "late" if told.late else "",
        )
    return Panel(rows, title="newest outcomes, read at the hub", title_align="left")


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for column in columns:
        right = column.startswith("#")
        table.add_column(
            column.lstrip("#"),
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    return table
