"""The running gateway, by what it says of itself."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.client import NotRunningError, RefusedError, ask
from gateway.doctor.finding import Box, Document, Finding, fail, ok, unseen, warn

_RECENT_S = 3600.0
_OLD_QUEUE_S = 3600.0
_CONNECT_S = 4.0


def gateway(box: Box) -> Iterator[Finding]:
    """Tell whether a gateway answers."""
    status = box.status
    if status is None:
        state = unseen if "not allowed" in box.silence else fail
        yield state(box.silence, "systemctl status weir-gateway; journalctl -u weir-gateway -n 50")
        return
    shown = f"gateway {status['gateway']} {status['version']}, up {status['uptime_s']:,.0f} s"
    yield ok(shown) if status["ready"] else fail(f"{shown}, is not ready", "see what fails below")


def broker(box: Box) -> Iterator[Finding]:
    """Tell whether the gateway is at the device broker."""
    if box.status is None:
        return
    found = box.status["broker"]
    if found["connected"]:
        yield ok(f"connected to the device broker at {found['url']}")
    else:
        yield fail(
            f"not connected to the device broker at {found['url']}: {found['reason']}",
            "systemctl status weir-mqtt; [mqtt] broker, username and password_file",
        )


def leaf(box: Box) -> Iterator[Finding]:
    """Tell whether the leaf answers and stores."""
    if box.status is None:
        return
    found = box.status["leaf"]
    if not found["ready"]:
        yield fail(
            "the leaf (nats-server) does not answer, or does not store: outcomes cannot be kept",
            "df -h; systemctl status weir-leaf; <state_dir>/leaf/nats-server.log",
        )
    elif found["restarts"]:
        yield warn(
            f"the leaf answers, and was restarted {found['restarts']} times",
            "<state_dir>/leaf/nats-server.log says why",
        )
    else:
        yield ok("the leaf answers and stores")
    again = box.status["outcomes"].get("put_again", 0)
    if again:
        yield warn(
            f"the leaf had lost {again:,} outcomes that waited in it; they were put there again",
            "look at the disk: dmesg, smartctl",
        )


def hub(box: Box) -> Iterator[Finding]:
    """Tell whether the hub is there, and what waits for it."""
    url = box.settings.hub.shown_url
    if not url:
        yield ok("no hub is set: outcomes are kept here (weir join)")
    elif box.status is None:
        yield reached(url, _reach(url))
    else:
        yield linked(box.status)


def linked(status: Document) -> Finding:
    """Return how the link to the hub is."""
    found, waiting = status["hub"], status["outcomes"]
    queued = f"{waiting['queued']:,} outcomes wait, the oldest {waiting['oldest_s']:,.0f} s"
    if not found["up"]:
        return fail(
            f"the hub {found['url']} takes no outcomes: {found['reason']}; {queued}",
            "nothing is lost; weir join tries it and says why",
        )
    if waiting["oldest_s"] > _OLD_QUEUE_S:
        return warn(f"the hub takes outcomes slowly: {queued}", "a faster link, or less to tell")
    return ok(f"the hub {found['url']} takes outcomes; {found['forwarded']:,} brought over")


def reached(url: str, problem: str) -> Finding:
    """Return whether anything answers where the hub is to be."""
    if problem:
        return fail(f"the hub {url} is not reached: {problem}", "network, DNS, firewall, the url")
    return ok(f"something listens at the hub's address {url}; whether it lets us in is not tried")


def _reach(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"wss": 443, "ws": 80}.get(parts.scheme, 7422)
    try:
        with socket.create_connection((parts.hostname or "", port), _CONNECT_S):
            return ""
    except OSError as exc:
        return str(exc)


def store(box: Box) -> Iterator[Finding]:
    """Tell whether the store opens."""
    path = box.settings.gateway.state_dir / "weir.duckdb"
    if box.status is not None:
        try:
            ask(box.settings.socket_path, "/sql", "SELECT count(*) FROM series", limit_s=10.0)
        except (NotRunningError, RefusedError) as exc:
            yield fail(f"the store does not answer: {exc}", "journalctl -u weir-gateway")
        else:
            size_bytes = box.status["store"]["bytes"]
            yield ok(f"the store answers; it has {size_bytes / 1e6:,.1f} MB")
    else:
        yield from _closed_store(path)


def _closed_store(path: Path) -> Iterator[Finding]:
    import duckdb  # noqa: PLC0415 - only where no gateway answers: it takes 0.2 s

    try:
        if not path.exists():
            yield ok("there is no store yet")
            return
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("SELECT count(*) FROM series").fetchall()
    except PermissionError:
        yield unseen(f"the store {path}")
    except duckdb.Error as exc:
        if "Permission denied" in str(exc):
            yield unseen(f"the store {path}")
        elif "lock" in str(exc):
            yield warn(
                f"another process has the store {path}, and does not answer",
                "systemctl restart weir-gateway",
            )
        else:
            yield fail(
                f"the store does not open: {str(exc).splitlines()[0]}",
                "start the gateway: what is damaged is set aside, and what can be read of it kept; "
                "what waits for the hub is not touched",
            )
    else:
        yield ok("the store opens")


def plugins(box: Box) -> Iterator[Finding]:
    """Tell which plugins are unwell or set aside."""
    if box.status is None:
        return
    for each in box.status["plugins"]:
        trouble = each["trouble"] or ("" if each["healthy"] else each["reason"] or each["state"])
        if trouble:
            yield fail(f"plugin {each['name']}: {trouble}", "weir plugin test FOLDER")
        if each["skipped"]:
            yield warn(
                f"plugin {each['name']} failed on {each['skipped']:,} windows or frames",
                f"journalctl PLUGIN={each['name']}; weir plugin test FOLDER",
            )
    yield from _aside("plugin", box.status["plugins_set_aside"], "correct its plugin.toml")
    well = sum(each["healthy"] for each in box.status["plugins"])
    yield ok(f"{well} plugins are healthy")


def profiles(box: Box) -> Iterator[Finding]:
    """Tell which firmware profiles are set aside."""
    if box.status is None:
        return
    found = box.status["profiles"]
    yield from _aside("profile", found["set_aside"], "weir profile check FOLDER")
    yield ok(f"{found['loaded']} firmware profiles are loaded")


def _aside(kind: str, reasons: list[str], do: str) -> Iterator[Finding]:
    for reason in reasons:
        yield warn(f"{kind} set aside: {reason}", do)


def dead_letters(box: Box) -> Iterator[Finding]:
    """Tell whether messages come that nobody can read."""
    if box.status is None:
        return
    counts = box.status["messages"]["dead_letters"]
    try:
        newest = ask(box.settings.socket_path, "/sql", _NEWEST, limit_s=10.0)["rows"]
    except (NotRunningError, RefusedError):
        newest = []
    age_s = time.time() - newest[0][0] if newest and newest[0][0] is not None else None
    yield unread(counts, age_s)
    shed = box.status["messages"]["shed"]
    if shed:
        yield warn(f"{shed:,} messages at QoS 0 were shed: more came than can be stored",
                   "fewer or slower devices; QoS 1 for what must not be lost")  # fmt: skip


_NEWEST = "SELECT epoch(max(time)) FROM dead_letter"


def unread(counts: dict[str, int], age_s: float | None) -> Finding:
    """Return whether dead letters still come.

    Args:
        counts: By reason, since the gateway started.
        age_s: Of the newest one.
    """
    total = sum(counts.values())
    if age_s is None or age_s > _RECENT_S:
        return ok(f"{total:,} dead letters since the start, none of the last hour")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()))
    return warn(
        f"dead letters come: {reasons or 'before the last start'}, the newest {age_s:,.0f} s ago",
        "weir deadletters; weir devices --unknown names the nearest profiles",
    )


def cameras(box: Box) -> Iterator[Finding]:
    """Tell which cameras give no picture."""
    if box.status is None:
        return
    found = box.status["cameras"]
    for each in found["cameras"]:
        if each["reason"] or each["state"] == "away":
            yield warn(
                f"camera {each['name']}: {each['state']}: {each['reason']}",
                "weir camera list; its address, user and password, and its network",
            )
    yield from _aside("camera", found["set_aside"], "correct its file")
    if found["cameras"]:
        running = sum(not each["reason"] for each in found["cameras"])
        yield ok(f"{running} of {len(found['cameras'])} cameras give pictures")
