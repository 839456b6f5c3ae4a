"""What ``weir status`` shows: the parts of a gateway, and what is unwell with each."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from gateway.cli.console import cells, table
from gateway.cli.text import counted, millis, one_line, size, span

Document = dict[str, Any]
_NAME_CHARS = 32
_SHOWN_NAMES = 3


def parts(document: Document) -> Iterator[RenderableType]:
    """Yield what to print of a gateway's status, from top to bottom."""
    yield _gateway(document)
    yield ""
    yield _plugins(document["plugins"]) if document["plugins"] else "no plugin runs"
    yield from _unwell(document)


def _gateway(document: Document) -> Table:
    rows = Table(box=None, show_header=False, pad_edge=False)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for name, line in _lines(document):
        rows.add_row(name, line)
    return rows


def _lines(document: Document) -> Iterator[tuple[str, str]]:
    ready = "[green]ready[/green]" if document["ready"] else "[red]not ready[/red]"
    name = escape(document["gateway"])
    yield "gateway", f"{name} {document['version']}, {ready}, up {span(document['uptime_s'])}"
    yield "broker", _broker(document["broker"])
    yield "messages", f"{document['messages']['received']:,} received"
    yield "", _ended(document["messages"])
    if document["messages"]["dead_letters"]:
        yield "", _dead(document["messages"]["dead_letters"])
    if document["messages"]["bad_parts"]:
        yield "", _partly(document["messages"]["bad_parts"])
    yield "readings", _readings(document)
    if document["readings"]["too_old"]:
        yield "", _too_old(document["readings"])
    if document["cameras"]["cameras"]:
        yield "cameras", _cameras(document["cameras"]["cameras"])
    yield "outcomes", _outcomes(document["outcomes"])
    yield "hub", _hub(document["hub"])
    total = document["latency_ms"]["total"]
    if total:
        p50, p95 = millis(total["p50"]), millis(total["p95"])
        yield "latency", f"message to outcome p50 {p50} ms, p95 {p95} ms"
    yield "leaf", _leaf(document["leaf"])
    if wrong := _clock(document.get("clock", {})):
        yield "clock", wrong
    if document["metrics"]:
        yield "metrics", escape(document["metrics"])


def _clock(clock: Document) -> str:
    """Return what is wrong with the clock; "" while nothing is."""
    if clock.get("standing") == "unset":
        return "[red]unset[/red]: it counts on from the newest time known (weir doctor)"
    ahead_s = clock.get("system_ahead_s", 0.0)
    if abs(ahead_s) > 2:
        return f"[yellow]the system's was stepped by {ahead_s:,.0f} s[/yellow], not followed yet"
    return ""


def _broker(broker: Document) -> str:
    if broker["connected"]:
        return f"{escape(broker['url'])}, [green]connected[/green]"
    return f"{escape(broker['url'])}, [red]away[/red]: {escape(broker['reason'])}"


def _ended(messages: Document) -> str:
    dead = sum(messages["dead_letters"].values())
    old = f" + {messages['too_old']:,} too old" if messages["too_old"] else ""
    if messages["quarantined"]:
        old += f" + {messages['quarantined']:,} quarantined"
    return (
        f"= {messages['stored']:,} stored + {counted(messages['duplicates'], 'duplicate')}"
        f" + {counted(dead, 'dead letter')} + {messages['shed']:,} shed{old}"
        f" + {messages['in_hand']:,} in hand"
    )


def _dead(reasons: dict[str, int]) -> str:
    told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
    return f"[yellow]dead letters[/yellow]: {escape(told)} (weir deadletters)"


def _partly(bad: dict[str, int]) -> str:
    told = ", ".join(f"{profile} {count:,}" for profile, count in sorted(bad.items()))
    return f"[yellow]left out of stored messages[/yellow]: {escape(told)} (weir deadletters)"


def _too_old(readings: Document) -> str:
    oldest, kept_s = readings["oldest"], readings["kept_s"]
    return (
        f"[yellow]too old[/yellow]: {counted(readings['too_old'], 'reading')}, the oldest of device"
        f" {escape(oldest['device'])} by {span(oldest['age_s'] - kept_s)};"
        f" retention is {kept_s / 3600:g} h"
    )


def _readings(document: Document) -> str:
    stored, store = document["readings"]["stored"], document["store"]
    of = counted(document["devices"], "device")
    return f"{stored:,} stored since the start, of {of}; the store has {size(store['bytes'])}"


def _outcomes(outcomes: Document) -> str:
    text = f"{outcomes['sent']:,} told, {outcomes['queued']:,} wait for the hub"
    if outcomes["queued"]:
        text += f" ({size(outcomes['queued_bytes'])}, the oldest {span(outcomes['oldest_s'])})"
    if outcomes["refused"]:
        text += f", [red]{outcomes['refused']:,} refused[/red] (too large for a packet)"
    return text


def _hub(hub: Document) -> str:
    if not hub["url"]:
        return "none set: outcomes are kept until \\[hub] url is"
    if hub["up"]:
        return f"{escape(hub['url'])}, [green]up[/green], {hub['forwarded']:,} brought over"
    reason = f": {escape(hub['reason'])}" if hub["reason"] else ""
    return f"{escape(hub['url'])}, [red]away[/red]{reason}; outcomes wait here"


def _leaf(leaf: Document) -> str:
    answers = "[green]answers[/green]" if leaf["ready"] else "[red]does not answer[/red]"
    link = {None: "", True: ", link up", False: ", [red]link down[/red]"}[leaf["link"]]
    return f"{answers}{link}, {size(leaf['rss_bytes'])}, {counted(leaf['restarts'], 'restart')}"


def _cameras(cameras: list[Document]) -> str:
    states = Counter(each["state"].replace("_", " ") for each in cameras)
    taken = sum(each["taken"] for each in cameras)
    told = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return f"{told}; {taken:,} frames looked at (weir camera list)"


def noisy(case: Document) -> str:
    """Return what is said of a device that is limited or quarantined."""
    usual = f", usually {case['usual_hz']:.3g}" if case["usual_hz"] else ""
    what = "nothing readable" if case["why"] == "garbage" else "too loud"
    name = escape(one_line(case["device"], _NAME_CHARS))
    return (
        f"[yellow]{name}[/yellow] is {case['state']}: {what}, {case['rate_hz']:,.0f}/s{usual};"
        f" {case['shed']:,} shed"
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(one_line(name, _NAME_CHARS) for name in names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return escape(shown) + (f" and {more} more" if more > 0 else "")


def _plugins(plugins: list[Document]) -> Table:
    rows = table("plugin", "!health", "#judged", "#p95 ms", "#memory", "#restarts")
    for each in plugins:
        color = "green" if each["healthy"] else "red"
        row = cells(
            f"{each['name']} {each['version']}", each["state"].replace("_", " "),
            f"{each['windows']:,}", millis(each["latency_p95_ms"]), size(each["rss_bytes"]),
            each["restarts"],
        )  # fmt: skip
        row[1] = f"[{color}]{row[1]}[/{color}]"
        rows.add_row(*row)
    return rows


def _unwell(document: Document) -> Iterator[str]:
    """Yield a line for all that is wrong with plugins and profiles."""
    for each in document["plugins"]:
        if wrong := each["trouble"] or ("" if each["healthy"] else each["reason"]):
            yield f"[red]{escape(each['name'])}[/red]: {escape(wrong)}"
        if each["skipped"]:
            skipped = counted(each["skipped"], "window or frame", "windows or frames")
            yield f"[red]{escape(each['name'])}[/red]: {skipped} skipped: it failed on them"
    yield from map(noisy, document["noisy"])
    if document["silent"]:
        yield f"[yellow]silent[/yellow]: {_some(document['silent'])} (weir devices)"
    yield from _set_aside(document)


def _set_aside(document: Document) -> Iterator[str]:
    for each in document["cameras"]["cameras"]:
        if each["reason"]:
            yield f"[yellow]camera {escape(each['name'])}[/yellow]: {escape(each['reason'])}"
    for reason in document["cameras"]["set_aside"]:
        yield f"[yellow]camera set aside[/yellow] {escape(reason)}"
    for reason in document["plugins_set_aside"]:
        yield f"[yellow]plugin set aside[/yellow] {escape(reason)}"
    for reason in document["profiles"]["set_aside"]:
        yield f"[yellow]profile set aside[/yellow] {escape(reason)}"
