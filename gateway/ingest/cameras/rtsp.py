"""Why an RTSP camera gives nothing, in plain words: FFmpeg does not tell (RFC 2326)."""

import base64
import hashlib
import socket
from urllib.request import parse_http_list, parse_keqv_list

from gateway.errors import CameraAwayError
from gateway.ingest.cameras.address import Address

CONNECT_LIMIT_S = 1.5
_ANSWER_LIMIT_S = 1.5
_MAX_ANSWER_BYTES = 100_000

Headers = list[tuple[str, str]]


def reach(address: Address, limit_s: float = CONNECT_LIMIT_S) -> None:
    """See that somebody listens at the address.

    Raises:
        CameraAwayError: Nobody does.
    """
    _connect(address, limit_s).close()


def greet(address: Address) -> None:
    """See that what listens at the address answers, which FFmpeg would wait for much longer.

    Raises:
        CameraAwayError: Nobody does.
    """
    if address.scheme == "rtsps":
        reach(address)
        return
    try:
        _request(address, "OPTIONS", "")
    except TimeoutError:
        raise CameraAwayError(f"{address.host}:{address.port} does not answer") from None
    except (OSError, ValueError):
        raise CameraAwayError("what listens there does not speak RTSP") from None


def diagnose(address: Address, password: str, transport: str) -> str:
    """Ask for the stream's description, and say why there are no frames."""
    if address.scheme == "rtsps":
        return "connected, but it gives no video: wrong user, password or path?"
    try:
        status, headers, body = _request(address, "DESCRIBE", "")
        if status == 401 and address.user:
            login = authorization(headers, address, password)
            status, _, body = _request(address, "DESCRIBE", login)
    except CameraAwayError as exc:
        return str(exc)
    except TimeoutError:
        return "the camera does not answer"
    except (OSError, ValueError):
        return "what listens there does not speak RTSP"
    return _in_words(status, body, address, transport)


def authorization(headers: Headers, address: Address, password: str) -> str:
    """Return the header that answers a 401: digest (RFC 2617) where it is offered, else basic."""
    offers = {
        scheme.lower(): rest
        for name, value in headers
        if name == "www-authenticate"
        for scheme, _, rest in [value.partition(" ")]
    }
    if "digest" not in offers:
        login = base64.b64encode(f"{address.user}:{password}".encode()).decode()
        return f"Authorization: Basic {login}\r\n"
    offer = parse_keqv_list(parse_http_list(offers["digest"]))
    realm, nonce = offer.get("realm", ""), offer.get("nonce", "")
    secret = _md5(f"{address.user}:{realm}:{password}")
    response = _md5(f"{secret}:{nonce}:{_md5(f'DESCRIBE:{address.bare}')}")
    return (
        f'Authorization: Digest username="{address.user}", realm="{realm}", nonce="{nonce}",'
        f' uri="{address.bare}", response="{response}"\r\n'
    )


def _in_words(status: int, body: str, address: Address, transport: str) -> str:
    if status == 401:
        who = "refuses user or password" if address.user else "asks for a user: user@host"
        return f"the camera {who} (401)"
    if status == 404:
        return "the camera has no stream of this path (404)"
    if status != 200:
        return f"the camera refuses the stream ({status})"
    if "m=video" not in body:
        return "there is no video in the stream"
    hint = '; if UDP does not get through, transport = "tcp" does' if transport == "udp" else ""
    return f"there is a stream, but no picture of it came in time{hint}"


def _connect(address: Address, limit_s: float) -> socket.socket:
    where = f"{address.host}:{address.port}"
    try:
        return socket.create_connection((address.host, address.port), timeout=limit_s)
    except socket.gaierror:
        raise CameraAwayError(f"no host of the name {address.host} is known") from None
    except TimeoutError:
        raise CameraAwayError(f"{where} does not answer") from None
    except ConnectionRefusedError:
        raise CameraAwayError(f"{where} refuses the connection") from None
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a host's name"
        raise CameraAwayError(f"{where}: {reason}") from None


def _request(address: Address, method: str, login: str) -> tuple[int, Headers, str]:
    """Return the answer's status, headers (names in lower case) and body."""
    request = f"{method} {address.bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n"
    with _connect(address, CONNECT_LIMIT_S) as connection:
        connection.settimeout(_ANSWER_LIMIT_S)
        connection.sendall(f"{request}{login}\r\n".encode())
        with connection.makefile("rb") as answer:
            words = answer.readline(_MAX_ANSWER_BYTES).decode("latin-1").split(maxsplit=2)
            if len(words) < 2 or not words[0].startswith("RTSP/"):
                raise ValueError("no RTSP")
            headers: Headers = []
            while (line := answer.readline(_MAX_ANSWER_BYTES).decode("latin-1").strip()) and (
                len(headers) < 100
            ):
                name, _, value = line.partition(":")
                headers.append((name.strip().lower(), value.strip()))
            length = min(int(dict(headers).get("content-length", "0")), _MAX_ANSWER_BYTES)
            return int(words[1]), headers, answer.read(length).decode("utf-8", "replace")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
