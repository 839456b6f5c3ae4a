"""The link to the hub as it is out there: cut, with packets that vanish, slow."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gateway.leaf.relay import Relay

_SLOW_CHUNK_BYTES = 2048
_CALL_S = 5.0


class Wire(Relay):
    """A relay on which packets can vanish or be slow.

    Attributes:
        delay_s: How long each piece of 2 KB takes; 0: as fast as it goes.
    """

    def __init__(self, target: tuple[str, int], listen_port: int = 0) -> None:
        super().__init__(target, listen_port)
        self._passing = asyncio.Event()
        self._passing.set()
        self.delay_s = 0.0

    def vanish(self, *, gone: bool) -> None:
        """Let nothing through, with connections that look alive, or everything again."""
        if gone:
            self._passing.clear()
        else:
            self._passing.set()

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """See `Relay.carry`."""
        with suppress(OSError):
            while data := await source.read(_SLOW_CHUNK_BYTES if self.delay_s else 65_536):
                await self._passing.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                sink.write(data)
                await sink.drain()


class Link:
    """A wire, told what to do from a thread that has no event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire) -> None:
        self._loop = loop
        self._wire = wire

    @property
    def port(self) -> int:
        """Return where it listens."""
        return self._wire.port

    def cut(self) -> None:
        """Drop every connection and take no new one."""
        self._call(self._wire.cut())

    def restore(self) -> None:
        """Take connections, and pass everything on at once."""
        self.slow(0.0)
        self.vanish(gone=False)
        self._call(self._wire.restore())

    def vanish(self, *, gone: bool) -> None:
        """Let packets vanish, or no more."""

        async def tell() -> None:
            self._wire.vanish(gone=gone)

        self._call(tell())

    def slow(self, delay_s: float) -> None:
        """Delay each piece; 0: no more."""
        self._wire.delay_s = delay_s

    def _call(self, doing: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(doing, self._loop).result(_CALL_S)


@contextmanager
def link(target: tuple[str, int]) -> Iterator[Link]:
    """Run a link to a target on a thread of its own; it is up."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="link", daemon=True)
    thread.start()
    made = Link(loop, Wire(target))
    try:
        made.restore()
        yield made
    finally:
        made.vanish(gone=False)
        made.cut()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CALL_S)
        loop.close()
