"""A small RTSP server for the demo's camera: JPEG over TCP, to any number of clients.

RFC 2326 with interleaved data (section 10.12), the pictures after RFC 2435. It has no UDP, no
RTCP, no pause and no login: what the demo's gateway asks of a camera, and no more.
"""

import asyncio
import logging
import secrets
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.demo.jpeg_packets import JpegError, Packets, parse

log = logging.getLogger(__name__)

Pictures = Callable[[], AsyncIterator[bytes]]
"""Gives one client its pictures: baseline JPEG files, each when it is due."""

MAX_CLIENTS = 16
MAX_REQUEST_BYTES = 8192
_TAKE_S = 10.0  # for a client to take a picture
_CLOCK_HZ = 90_000
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 {host}\r\ns=weir demo\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\na=control:track1\r\n"
)


@asynccontextmanager
async def rtsp_server(
    pictures: Pictures, host: str = "127.0.0.1", port: int = 0, path: str = "camera"
) -> AsyncIterator[str]:
    """Serve pictures until the block ends, and give the address.

    Args:
        pictures: Called anew for each client that plays.
        host: Where to listen.
        port: 0: a free one.
        path: The last part of the address.
    """
    clients: set[asyncio.Task[None] | None] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        clients.add(task)
        try:
            if len(clients) <= MAX_CLIENTS:
                await _Client(reader, writer, pictures).serve()
        except (
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            ValueError,
        ):
            pass  # gone, or no RTSP
        except asyncio.CancelledError:
            pass  # the server ends; the streams' own task has nobody to tell
        finally:
            clients.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, host, port, limit=MAX_REQUEST_BYTES)
    try:
        yield f"rtsp://{host}:{server.sockets[0].getsockname()[1]}/{path}"
    finally:
        server.close()
        tasks = [task for task in clients if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Client:
    """One connection, and the stream on it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pictures: Pictures
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._pictures = pictures
        self._session = secrets.token_hex(8)
        self._channel = 0
        self._stream: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer requests until the client tears down or is gone."""
        try:
            while await self._answer_next():
                pass
        finally:
            if self._stream is not None:
                self._stream.cancel()
                await asyncio.gather(self._stream, return_exceptions=True)

    async def _answer_next(self) -> bool:
        first = await self._reader.readexactly(1)
        if first == b"$":  # the client's RTCP
            _, length = struct.unpack(">BH", await self._reader.readexactly(3))
            await self._reader.readexactly(length)
            return True
        head = first + await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, url, _ = lines[0].split(" ", 2)
        said = {key.strip().lower(): text.strip() for key, _, text in _pairs(lines[1:])}
        await self._reader.readexactly(min(int(said.get("content-length", 0)), MAX_REQUEST_BYTES))
        status, headers, body = self._do(method, url, said)
        headers["CSeq"] = said.get("cseq", "0")
        text = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        self._writer.write(f"RTSP/1.0 {status}\r\n{text}\r\n{body}".encode())
        if method == "PLAY" and status == "200 OK" and self._stream is None:
            self._stream = asyncio.create_task(self._play())
        return method != "TEARDOWN"

    def _do(self, method: str, url: str, said: dict[str, str]) -> tuple[str, dict[str, str], str]:
        """Return status, headers and body of the answer to a request."""
        if method == "OPTIONS":
            return "200 OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"}, ""
        if method == "DESCRIBE":
            body = _SDP.format(host=self._writer.get_extra_info("sockname")[0])
            kind = {"Content-Type": "application/sdp", "Content-Base": url.rstrip("/") + "/"}
            return "200 OK", {**kind, "Content-Length": str(len(body))}, body
        if method == "SETUP":
            return self._set_up(said.get("transport", ""))
        if method in {"PLAY", "GET_PARAMETER", "TEARDOWN"}:
            return "200 OK", {"Session": self._session}, ""
        return "501 Not Implemented", {}, ""

    def _set_up(self, transports: str) -> tuple[str, dict[str, str], str]:
        for offer in transports.split(","):
            parts = offer.strip().split(";")
            if parts[0] != "RTP/AVP/TCP":
                continue
            channels = next((p[12:] for p in parts if p.startswith("interleaved=")), "0-1")
            self._channel = int(channels.partition("-")[0]) & 0xFF
            way = f"RTP/AVP/TCP;unicast;interleaved={channels}"
            return "200 OK", {"Transport": way, "Session": f"{self._session};timeout=60"}, ""
        return "461 Unsupported Transport", {}, ""

    async def _play(self) -> None:
        packets = Packets(secrets.randbits(32))
        began, first = time.monotonic(), secrets.randbits(32)
        try:
            async for picture in self._pictures():
                since = int((time.monotonic() - began) * _CLOCK_HZ)
                for packet in packets.of(parse(picture), first + since):
                    head = struct.pack(">cBH", b"$", self._channel, len(packet))
                    self._writer.write(head + packet)
                async with asyncio.timeout(_TAKE_S):
                    await self._writer.drain()
        except (ConnectionError, TimeoutError):
            pass  # the client is gone
        except JpegError:
            log.exception("the demo's camera made a picture that RTP cannot carry")
        finally:
            self._writer.close()  # the end of the pictures is the end of the stream


def _pairs(lines: list[str]) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in lines if ":" in line]
