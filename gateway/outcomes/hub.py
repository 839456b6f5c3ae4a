"""Whether the hub takes outcomes, and why not."""

import asyncio
import random
import time

from nats.aio.client import Client

from gateway.outcomes.lanes import Lanes
from gateway.outcomes.link import LinkError, NoListenerError, ask, read, request
from gateway.topics import HUB_STREAM, OUTCOME_ROOT

NO_STREAM = f"hub has no stream {HUB_STREAM}: run weir hub or create it"
NO_LINK = "no link to the hub"

_EXPECT_ANOTHER = {"Nats-Expected-Stream": "-"}
_EXPECTED_STREAM = 10060  # "expected stream does not match"
_PROBE_TIMEOUT_S = 3.0
_IDLE_LOOK_S = 3.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class HubWatch:
    """Asks the hub while it is away; while nothing is sent, asks the leaf whether the link is up.

    The question to the hub is an empty publish that expects a stream of another name: the hub's
    stream refuses it, stores nothing, and has answered. It needs no right that the outcomes
    themselves do not need. Who subscribes to everything there sees it, hence not while all is well.

    Args:
        client: A connection to the leaf.
        gateway: The gateway's name.
        lanes: Told whether the hub is up.
    """

    def __init__(self, client: Client, gateway: str, lanes: Lanes) -> None:
        self._client = client
        self._subject = f"{OUTCOME_ROOT}.{gateway}.probe"
        self._lanes = lanes
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._failures = 0
        self._heard_s = 0.0
        self.reason = "not asked yet"

    @property
    def up(self) -> bool:
        """Return whether the hub takes outcomes, as far as is known."""
        return self._up.is_set()

    async def wait_up(self) -> None:
        """Wait until the hub takes outcomes; unbounded, for there is nothing to do before."""
        await self._up.wait()

    def took(self) -> None:
        """Note that the hub acknowledged packets."""
        self._failures = 0
        self._heard_s = time.monotonic()

    def lost(self, reason: str) -> None:
        """Note that the hub did not acknowledge packets, and ask it from now on."""
        self.reason = reason
        self._lanes.hub_up = False
        if self.up:
            self._failures += 1
            self._up.clear()
            self._lost.set()

    async def run(self) -> None:
        """Ask until cancelled: after 0.05 s, then ever slower up to once a second, with jitter."""
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(_IDLE_LOOK_S if self.up else self._pause_s()):
                    await self._lost.wait()
            except TimeoutError:
                await (self._look() if self.up else self._ask())

    def _pause_s(self) -> float:
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    async def _look(self) -> None:
        idle = time.monotonic() - self._heard_s > _IDLE_LOOK_S
        if idle and not await self._has_link():
            self.lost(NO_LINK)

    async def _ask(self) -> None:
        problem = await self._problem()
        if problem:
            self._failures += 1
            self.lost(problem)
            return
        self.reason = ""
        self._heard_s = time.monotonic()
        self._lanes.hub_up = True
        self._up.set()

    async def _problem(self) -> str:
        try:
            return _refusal(
                await request(self._client, self._subject, b"", _PROBE_TIMEOUT_S, _EXPECT_ANOTHER)
            )
        except NoListenerError:
            return NO_STREAM if await self._has_link() else NO_LINK
        except LinkError as exc:
            return str(exc) if await self._has_link() else NO_LINK

    async def _has_link(self) -> bool:
        """Ask the leaf how many leaf links this account has."""
        try:
            statistics = await ask(self._client, "$SYS.REQ.ACCOUNT.PING.STATZ")
            accounts = statistics["data"]["account_statz"]
            return any(account["leafnodes"] for account in accounts)
        except (LinkError, KeyError):
            return False


def _refusal(data: bytes) -> str:
    """Return what is wrong with the hub's answer; the refusal that was asked for is right."""
    content = read("asking the hub", data)
    if content.get("stream", HUB_STREAM) != HUB_STREAM:
        return f"hub keeps outcomes in stream {content['stream']}, expected {HUB_STREAM}"
    error = content.get("error", {})
    if error.get("err_code") == _EXPECTED_STREAM:
        return ""
    return f"hub answers {error.get('description', content)!r}"
