"""The connection to a NATS server, and its errors in our words."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import nats.errors
import nats.js.errors
import orjson
from nats.aio.client import Client

from gateway.errors import TransientError

log = logging.getLogger(__name__)

CONNECT_S = 5.0
_RECONNECT_WAIT_S = 0.2
_CLOSE_TRIES = 10
_CLOSE_TRY_S = 0.1


class LinkError(TransientError):
    """A NATS server is away, does not answer, or refused.

    Attributes:
        err_code: JetStream's error code (``server/errors.json`` of nats-server); 0 without one.
    """

    code = "link"

    def __init__(self, text: str, err_code: int = 0) -> None:
        super().__init__(text)
        self.err_code = err_code


class NoListenerError(LinkError):
    """Nobody listens on a subject: no stream has it, or there is no way to the server that does."""

    code = "no_listener"


@asynccontextmanager
async def connection(url: str, gateway: str, name: str) -> AsyncIterator[Client]:
    """Connect, and close at the end. The connection comes back by itself when it breaks.

    Args:
        url: ``nats://user:password@host:port``.
        gateway: The gateway's name: answers come to ``_INBOX.<gateway>.``, the one place where a
            hub lets this gateway listen; "" for the default.
        name: What the server shows for this connection.

    Raises:
        LinkError: Refused, or no connection within 5 s.
    """
    client = Client()
    connected = False

    async def note(exc: Exception) -> None:
        """Give up at the first refusal while connecting; later, whoever asks is told by itself."""
        if not connected:
            raise exc
        log.debug("nats: %s", exc or type(exc).__name__)

    async def fail_requests() -> None:
        """Have nobody wait for an answer that the next connection does not bring."""
        for waiting in list(client._resp_map.values()):  # noqa: SLF001 - nats-py waits its time out
            if not waiting.done():
                waiting.set_exception(nats.errors.ConnectionClosedError())

    try:
        with translated(f"connecting {name}"):
            async with asyncio.timeout(CONNECT_S):
                await client.connect(
                    url,
                    name=name,
                    inbox_prefix=f"_INBOX.{gateway}" if gateway else "_INBOX",
                    error_cb=note,
                    disconnected_cb=fail_requests,
                    connect_timeout=2,
                    reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type] # it may be fractions
                    max_reconnect_attempts=-1,
                    ping_interval=10,
                    max_outstanding_pings=2,
                    pending_size=0,  # while it is broken a publish fails at once
                )
        connected = True
        yield client
    finally:
        await _close(client)


async def _close(client: Client) -> None:
    """Close for good, also while nats-py is reconnecting.

    Its ``close`` cancels that only once, and until Python 3.12 ``asyncio.wait_for`` may forget it:
    the client would connect again behind our back and stay.
    """
    try:
        await client.close()
    except (nats.errors.Error, OSError) as exc:
        log.debug("nats: closing: %s", exc or type(exc).__name__)
    reconnecting = client._reconnection_task  # noqa: SLF001 - nothing public ends it
    for _ in range(_CLOSE_TRIES):
        if reconnecting is None or reconnecting.done():
            break
        reconnecting.cancel()
        await asyncio.wait([reconnecting], timeout=_CLOSE_TRY_S)
    if client._transport:  # noqa: SLF001 - left open when the last flush failed
        client._transport.close()  # type: ignore[no-untyped-call]  # noqa: SLF001


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the client's errors into `LinkError`, with what was being done."""
    try:
        yield
    except (nats.errors.NoRespondersError, nats.js.errors.NoStreamResponseError) as exc:
        raise NoListenerError(f"{doing}: nobody listens") from exc
    except nats.js.errors.APIError as exc:
        raise LinkError(f"{doing}: {exc.description}", exc.err_code or 0) from exc
    except nats.errors.OutboundBufferLimitError as exc:
        raise LinkError(f"{doing}: not connected") from exc
    except (nats.errors.TimeoutError, TimeoutError) as exc:
        raise LinkError(f"{doing}: no answer in time") from exc
    except (nats.errors.Error, OSError) as exc:
        raise LinkError(f"{doing}: {exc or type(exc).__name__}") from exc


async def request(
    client: Client,
    subject: str,
    payload: bytes = b"",
    timeout_s: float = 2.0,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Send a request and return the answer's bytes.

    Raises:
        LinkError: No answer in time, or nobody listens.
    """
    with translated(subject):
        message = await client.request(subject, payload, timeout_s, headers=headers)
    task = asyncio.current_task()
    if task and task.cancelling():
        # nats-py waits with asyncio.wait_for, which until Python 3.12 forgets that it was
        # cancelled when the answer came at the same time: the task would never end.
        raise asyncio.CancelledError
    return message.data


async def ask(
    client: Client, subject: str, body: object = None, timeout_s: float = 2.0
) -> dict[str, Any]:
    """Send a request of JetStream's API and return its answer.

    Raises:
        LinkError: No answer, or a refusal, then with its ``err_code``.
    """
    payload = b"" if body is None else orjson.dumps(body)
    return answer(subject, await request(client, subject, payload, timeout_s))


def read(doing: str, data: bytes) -> dict[str, Any]:
    """Read an answer of JetStream, a refusal too.

    Raises:
        LinkError: It is not an answer of JetStream at all.
    """
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise LinkError(f"{doing}: the answer is not JetStream's") from exc
    if not isinstance(content, dict):
        raise LinkError(f"{doing}: the answer is not JetStream's")
    return content


def answer(doing: str, data: bytes) -> dict[str, Any]:
    """Read an answer of JetStream.

    Raises:
        LinkError: It is a refusal, or not an answer of JetStream at all.
    """
    content = read(doing, data)
    if error := content.get("error"):
        raise LinkError(f"{doing}: {error.get('description')}", int(error.get("err_code", 0)))
    return content
