"""A TCP relay on the loopback: a link that can be cut and restored, for demos and tests."""

import asyncio
from contextlib import suppress
from typing import Self

_CHUNK_BYTES = 65_536
_CONNECT_S = 5.0


class Relay:
    """Passes bytes between who connects to it and one target.

    Args:
        target: Host and port that connections are passed on to.
        listen_port: On 127.0.0.1; 0 for a free one, the same at every `restore`.
    """

    def __init__(self, target: tuple[str, int], listen_port: int = 0) -> None:
        self._target = target
        self._port = listen_port
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Return where it listens."""
        return self._port

    @property
    def is_up(self) -> bool:
        """Say whether it takes connections."""
        return self._server is not None

    async def restore(self) -> None:
        """Take connections, from the start or again after `cut`."""
        if self._server is None:
            self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop every connection and take no new one."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass one direction on until it ends; a link with faults does it otherwise."""
        with suppress(OSError):
            while data := await source.read(_CHUNK_BYTES):
                sink.write(data)
                await sink.drain()

    async def _pass(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        link = asyncio.ensure_future(self._both_ways(near, near_out))
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        await asyncio.gather(link, return_exceptions=True)

    async def _both_ways(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                far, far_out = await asyncio.open_connection(*self._target)
        except OSError:  # the target is away (a TimeoutError is one too): hang up
            near_out.transport.abort()
            return
        try:
            ways = [
                asyncio.ensure_future(self.carry(near, far_out)),
                asyncio.ensure_future(self.carry(far, near_out)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            near_out.transport.abort()
            far_out.transport.abort()
