"""What a person sees of the demo."""

import time
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.demo.show import Scene
from gateway.outcomes.reader import Told

_WORTH_SEEING = (
    "ENERGY.Power", "ENERGY.Current", "switch:0.apower", "temperature:100.tC", "vibration",
    "pressure", "flow", "temperature", "humidity", "level", "inflow", "acc.x.rms", "acc.x.peak",
)  # fmt: skip
_BARS = "▁▂▃▄▅▆▇█"
_LINES_BESIDE_OUTCOMES = 16  # headline, footer, frames and headings of all panels
_FRAME_LINES = 3  # of a panel: its frame and its heading
_MOST_READINGS = 3


def picture(scene: Scene, width: int, height: int) -> RenderableType:
    """Return the screen: what happens, what flows, devices, plugins, outcomes.

    Args:
        scene: What there is to see.
        width: Of the screen, in characters.
        height: Of the screen, in lines; outcomes take what the rest leaves.
    """
    parts: list[RenderableType] = [headline(scene)]
    if scene.status:
        plugins, cameras = scene.status["plugins"], scene.status["cameras"]["cameras"]
        taken = _LINES_BESIDE_OUTCOMES + len(scene.devices) + len(cameras) + len(plugins)
        shown: RenderableType = _plugins(plugins)
        if taken >= height:  # a small screen
            taken -= _FRAME_LINES - 1 + len(plugins)
            shown = _plugins_in_a_line(plugins)
        parts += [
            _flow(scene, width),
            _devices(scene, width),
            shown,
            _outcomes(scene.outcomes[: max(1, height - taken)]),
        ]
    parts.append(Text("Ctrl-C stops and adds up", style="dim"))
    return Group(*parts)


def headline(scene: Scene) -> Text:
    """Return what happened last, loud while the link is cut."""
    style = {"up": "bold", "cut": "bold white on red", "back": "bold white on green"}[scene.link]
    text = f" {time.monotonic() - scene.began:4.0f} s  {scene.said} "
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _flow(scene: Scene, width: int) -> Panel:
    status = scene.status
    messages, outcomes = status["messages"], status["outcomes"]
    total = status["latency_ms"]["total"]
    rows = _table("#messages", "#readings/s", "#outcomes", "#queued", "link", "#at the hub",
                  "#p50 ms", "#p95 ms", "")  # fmt: skip
    rows.add_row(
        f"{messages['received']:,}", f"{scene.readings_per_s:.0f}", f"{outcomes['sent']:,}",
        f"{outcomes['queued']:,}", _link(scene), f"{scene.at_hub:,}",
        _number(total["p50"] if total else None), _number(total["p95"] if total else None),
        style="bold",
    )  # fmt: skip
    dead = sum(messages["dead_letters"].values())
    rest = (
        f"{status['readings']['stored']:,} readings stay here; {dead} dead letters, "
        f"{messages['duplicates']} duplicates, {messages['shed']} shed"
    )
    queue = _bars(list(scene.queue), max(0, width - len(rest) - 16))
    below = Text.assemble((rest, "dim"), ("   queue ", "dim"), (queue, "yellow"))
    below.no_wrap = True
    return _panel(Group(rows, below), "what flows")


def _link(scene: Scene) -> str:
    if scene.link == "cut":
        return "[white on red] CUT [/]"
    return "[green]up[/]" if scene.status["hub"]["up"] else "[yellow]connecting[/]"


def _devices(scene: Scene, width: int) -> Panel:
    rows = _table("device", "firmware", "#messages", "newest")
    shown = _MOST_READINGS if width >= 110 else 2
    for device in scene.devices:
        newest = sorted(device["readings"], key=lambda reading: _rank(reading["metric"]))[:shown]
        firmware = scene.firmware.get(device["device"], device["profile"])
        texts = (
            device["device"],
            firmware,
            f"{device['messages']:,}",
            "  ".join(map(_reading, newest)),
        )
        rows.add_row(*map(escape, texts))
    for camera in scene.status["cameras"]["cameras"]:
        rows.add_row(*map(escape, _camera(scene, camera)))
    return _panel(rows, "devices, each speaking as its firmware does")


def _camera(scene: Scene, camera: dict[str, Any]) -> list[str]:
    """Return a camera's row: what it is, its frames, and the counts that were told of it last."""
    told = next((t for t in scene.outcomes if t.content.source == camera["name"]), None)
    told_last = f"{told.content.label}, {_why(told)}" if told else camera["state"]
    kind = f"camera, {camera['codec']}"
    return [camera["name"], kind, f"{camera['taken']:,}", told_last]


def _rank(metric: str) -> int:
    return _WORTH_SEEING.index(metric) if metric in _WORTH_SEEING else len(_WORTH_SEEING)


def _reading(reading: dict[str, Any]) -> str:
    name = reading["metric"].removeprefix("ENERGY.")
    return f"{name} {reading['value']:.4g} {reading['unit'] or ''}".rstrip()


def _plugins_in_a_line(plugins: list[dict[str, Any]]) -> Text:
    told = (f"{plugin['name']} {plugin['state'].replace('_', ' ')}" for plugin in plugins)
    return Text("plugins: " + ", ".join(told), no_wrap=True, overflow="ellipsis")


def _plugins(plugins: list[dict[str, Any]]) -> Panel:
    rows = _table("plugin", "health", "#judged", "#p50 ms", "#p95 ms", "#memory", "trouble")
    for plugin in plugins:
        color = "green" if plugin["healthy"] else "red"
        rows.add_row(
            escape(f"{plugin['name']} {plugin['version']}"),
            f"[{color}]{plugin['state'].replace('_', ' ')}[/]",
            f"{plugin['windows']:,}",
            _number(plugin["latency_p50_ms"]),
            _number(plugin["latency_p95_ms"]),
            f"{plugin['rss_bytes'] / 1e6:.0f} MB",
            escape(plugin["trouble"] or ("" if plugin["healthy"] else plugin["reason"])),
        )
    return _panel(rows, "plugins")


def _outcomes(newest: list[Told]) -> Panel:
    rows = _table("time", "source", "label", "#score", "#bytes", "", "why")
    for told in newest:
        content = told.content
        color = "yellow" if content.label == "anomaly" else "green"
        rows.add_row(
            time.strftime("%H:%M:%S", time.gmtime(content.end_ms / 1000)),
            escape(content.source),
            f"[{color}]{escape(content.label)}[/]",
            f"{content.score:.2f}",
            str(told.size_bytes),
            "late" if told.late else "",
            escape(_why(told)),
        )
    if not newest:
        rows.add_row("[dim]none yet[/]")
    return _panel(rows, "newest outcomes, read at the hub")


def _why(told: Told) -> str:
    """Return an outcome's numbers: of an anomaly whose share it was, of a camera the counts."""
    numbers, source = told.content.numbers, told.content.source
    if told.content.kind != "anomaly":
        return ", ".join(f"{name.replace('_', ' ')} {count:g}" for name, count in numbers.items())
    shares = ((name.removeprefix(f"{source}-"), share) for name, share in numbers.items())
    return ", ".join(f"{name} {share:.0%}" for name, share in shares)


def _bars(depths: list[int], room: int) -> str:
    """Return the newest depths as bars, the highest one full; "" where there is no room."""
    depths = depths[-room:] if room else []
    top = max(depths, default=0)
    if not top:
        return ""
    return "".join(_BARS[round(depth / top * (len(_BARS) - 1))] for depth in depths)


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.1f}"


def _panel(content: RenderableType, title: str) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim")


def _table(*columns: str) -> Table:
    """Return a table whose last column takes what is left, and is cut where that is too little."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for column in columns:
        name = column.lstrip("#")
        table.add_column(
            name,
            justify="right" if column.startswith("#") else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=len(name),
            ratio=1 if column == columns[-1] else None,
        )
    return table
