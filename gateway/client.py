"""Asks a running gateway over its local socket."""

import http.client
import socket
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import GatewayError

_LIMIT_S = 35.0  # above the gateway's own limit for a query


class NotRunningError(GatewayError):
    """No gateway answers on the socket."""

    code = "not_running"


class RefusedError(GatewayError):
    """The gateway refused the request; the text says why."""

    code = "refused"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, limit_s: float) -> None:
        super().__init__("weir", timeout=limit_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, what: str, body: str | None = None, limit_s: float = _LIMIT_S) -> Any:  # noqa: ANN401 - any JSON
    """Return what the gateway answers to ``GET what``, or to ``POST what`` with a body.

    Args:
        path: The gateway's socket.
        what: The path asked for.
        body: What is posted.
        limit_s: How long an answer may take.

    Raises:
        NotRunningError: Nobody listens on the socket.
        RefusedError: The gateway says no, and why.
    """
    connection = _UnixConnection(path, limit_s)
    try:
        connection.request("POST" if body is not None else "GET", what, body)
        response = connection.getresponse()
        document = orjson.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise NotRunningError(
            f"no gateway runs on {path.parent}; start one with `weir run`, or name another "
            "with --state-dir or -c"
        ) from exc
    except PermissionError as exc:
        raise NotRunningError(f"{path}: not allowed; run it as the gateway's user") from exc
    except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as exc:
        raise NotRunningError(f"{path}: no usable answer: {exc}") from exc
    finally:
        connection.close()
    if response.status >= 400:
        reason = document.get("error", "refused") if isinstance(document, dict) else "refused"
        raise RefusedError(str(reason))
    return document
