"""What a nats-server tells about itself over HTTP on the loopback."""

import asyncio
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp


class Process(NamedTuple):
    """What a server says of its own process.

    Attributes:
        rss_bytes: Resident memory.
        uptime_s: Since its start.
    """

    rss_bytes: int = 0
    uptime_s: float = 0.0


class Monitor:
    """The monitoring port of one server.

    Args:
        port: On 127.0.0.1.
        limit_s: How long an answer may take.
    """

    def __init__(self, port: int, limit_s: float = 2.0) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._limit = aiohttp.ClientTimeout(total=limit_s)

    async def healthy(self) -> bool:
        """Say whether the server answers and calls itself, its streams included, healthy."""
        answer = await self._get("/healthz")
        return answer is not None and answer.get("status") == "ok"

    async def links(self) -> int:
        """Return how many leaf links are up; 0 also when the server does not answer."""
        answer = await self._get("/leafz")
        return int(answer["leafnodes"]) if answer else 0

    async def process(self) -> Process:
        """Return the server's memory and age; zeros when it does not answer."""
        answer = await self._get("/varz")
        if not answer:
            return Process()
        now, start = (datetime.fromisoformat(str(answer[key])) for key in ("now", "start"))
        return Process(int(answer["mem"]), (now - start).total_seconds())

    async def _get(self, path: str) -> dict[str, Any] | None:
        try:
            async with (
                aiohttp.ClientSession(timeout=self._limit) as session,
                session.get(self._base + path) as response,
            ):
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return None
        return answer if response.status == 200 and isinstance(answer, dict) else None
