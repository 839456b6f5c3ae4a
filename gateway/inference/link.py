"""The gateway's end of the socket to a worker."""

import asyncio
from typing import Any

from gateway.inference.wire import FrameError, FrameReader

Answer = tuple[str, Any]
"""Kind and body of what a worker sent."""


class Link(asyncio.Protocol):
    """The socket to a worker; each answer ends the wait of the call with its number.

    Attributes:
        problem: What was wrong with what came, or "".
    """

    def __init__(self) -> None:
        self.problem = ""
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._reader = FrameReader()
        self._transport: asyncio.BaseTransport | None = None

    def expect(self, number: int) -> asyncio.Future[Answer]:
        """Return what will be the answer to the call with this number.

        It ends with ConnectionError when the socket closes first.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        return answer

    def forget(self, number: int) -> None:
        """Wait no longer for this call's answer."""
        self._waiting.pop(number, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to close it when nonsense comes."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand complete answers to who waits for them."""
        try:
            frames = self._reader.feed(data)
        except FrameError as exc:
            self.problem = f"answered nonsense: {exc}"
            if self._transport is not None:
                self._transport.close()
            return
        for number, kind, body in frames:
            answer = self._waiting.pop(number, None)  # None: too late, nobody waits
            if answer is not None and not answer.done():
                answer.set_result((kind, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that nothing will come."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the worker's socket closed"))
        self._waiting.clear()
