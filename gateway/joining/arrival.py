"""How far a running gateway has got with its hub, from what it says of itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.client import NotRunningError, RefusedError, ask
from gateway.config import Settings

Document = dict[str, Any]
_LOOK_S = 0.5
_MOST_OUTCOMES = 1000


@dataclass(frozen=True, slots=True)
class Arrival:
    """What reached the hub.

    Attributes:
        running: A gateway answers, and has this hub.
        up: The hub takes outcomes.
        reason: Why not; "" while it does.
        silent: No gateway answers at all.
        forwarded: Packets that the hub acknowledged since the gateway started.
        queued: Packets that wait.
        packet: One that the hub has, as it left; "" while none is known.
    """

    running: bool = False
    up: bool = False
    reason: str = ""
    silent: bool = False
    forwarded: int = 0
    queued: int = 0
    packet: str = ""

    @property
    def is_there(self) -> bool:
        """Say whether the hub has an outcome."""
        return self.forwarded > 0


def arrival(status: Document, url: str, sent: list[Document]) -> Arrival:
    """Return how far a gateway has got.

    Args:
        status: What it says at ``/status``.
        url: The hub it is to have, without a login.
        sent: What it says at ``/outcomes``, the newest first.
    """
    hub, outcomes = status["hub"], status["outcomes"]
    if hub["url"] != url:
        return Arrival(reason="the gateway that runs has not read the new configuration yet")
    return Arrival(
        running=True,
        up=hub["up"],
        reason=hub["reason"],
        forwarded=hub["forwarded"],
        queued=outcomes["queued"],
        packet=_reached(sent, outcomes["queued"]) if hub["forwarded"] else "",
    )


def _reached(sent: list[Document], queued: int) -> str:
    """Return the newest packet that is surely at the hub: the queue keeps the order."""
    return str(sent[queued]["packet"]) if queued < len(sent) else ""


def wait_for_arrival(
    settings: Settings,
    url: str,
    limit_s: float,
    tell: Callable[[Arrival], None],
    *,
    restarted: bool,
) -> Arrival:
    """Wait until the first packet is at the hub, or there is none to send, or time is up.

    Args:
        settings: Of the gateway that is asked.
        url: The hub it is to have, without a login.
        restarted: It is on its way; else one that has not this hub is not waited for.
        limit_s: How long.
        tell: Called with what changes on the way.
    """
    until = time.monotonic() + limit_s
    told = Arrival(reason="?")
    while True:
        found = _look(settings, url)
        if (found.up, found.reason) != (told.up, told.reason):
            tell(found)
            told = found
        if found.is_there or time.monotonic() > until or not (found.running or restarted):
            return found
        time.sleep(_LOOK_S)


def _look(settings: Settings, url: str) -> Arrival:
    path = settings.socket_path
    try:
        status = ask(path, "/status", limit_s=5.0)
        sent = ask(path, f"/outcomes?limit={_MOST_OUTCOMES}", limit_s=5.0)
    except (NotRunningError, RefusedError) as exc:
        return Arrival(reason=str(exc), silent=True)
    return arrival(status, url, sent)
