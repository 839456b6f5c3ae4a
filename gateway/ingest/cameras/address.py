"""A camera's address: its parts, without and with a login, and the form for people to see."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

Scheme = Literal["rtsp", "rtsps", "http", "https", "v4l2", "file", "mqtt"]

ALLOWED = (
    "must be rtsp://host/..., rtsps://..., http(s)://..., v4l2:/dev/video0, file:/path, or"
    " mqtt:<device>"
)
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_LOCAL = ("v4l2", "file", "mqtt")
_MAX_LOGIN = 127  # characters of user:password that FFmpeg takes, percent-encoded
_PLAIN = "!$&'()*+,;=-._~"  # may stand in a url's user and password as they are (RFC 3986, 3.2.1)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where a camera is.

    Attributes:
        scheme: What is spoken there.
        host, port: Of a camera in the network, else "" and 0.
        user: The user's name, or "".
        rest: Path and query; of the local kinds a path, or the device's name over MQTT.
    """

    scheme: Scheme
    host: str
    port: int
    user: str
    rest: str

    @property
    def shown(self) -> str:
        """Return the address for people to see: no user, and no query, where logins stand too."""
        if self.scheme in _LOCAL:
            return f"{self.scheme}:{self.rest}"
        path, query, _ = self.rest.partition("?")
        return f"{self.scheme}://{self._place}{path}{query and '?...'}"

    @property
    def bare(self) -> str:
        """Return the whole url without a login."""
        return f"{self.scheme}://{self._place}{self.rest}"

    def with_login(self, password: str) -> str:
        """Return the whole url with user and password, percent-encoded. It is never shown.

        Raises:
            ValueError: They are too long, or the user's name holds a colon.
        """
        if not self.user:
            return self.bare
        login = f"{quote(self.user, safe=_PLAIN)}:{quote(password, safe=_PLAIN)}"
        if ":" in self.user or len(login) > _MAX_LOGIN:
            raise ValueError(
                f"user and password are over {_MAX_LOGIN} characters when percent-encoded, or the"
                " user's name holds a colon"
            )
        return f"{self.scheme}://{login}@{self._place}{self.rest}"

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def parse(url: str) -> Address:
    """Return the parts of a camera's address.

    Raises:
        ValueError: It is none, with what is allowed; the text holds nothing of a login.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or re.search(r"[\x00-\x1f\x7f]", url):
        raise ValueError(ALLOWED)
    if scheme in _LOCAL:
        return _local(scheme, rest)
    if scheme not in _PORTS or not rest.startswith("//") or " " in url:
        raise ValueError(ALLOWED)
    return _network(scheme, url)


def _local(scheme: str, rest: str) -> Address:
    if scheme == "file" and rest.startswith("//"):
        rest = unquote(urlsplit(f"file:{rest}").path)
    if not rest or (scheme == "v4l2" and not Path(rest).is_absolute()):
        raise ValueError(ALLOWED)
    return Address(scheme, "", 0, "", rest)  # type: ignore[arg-type] # one of _LOCAL


def _network(scheme: str, url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{ALLOWED}; host or port is not valid") from None
    if parts.password is not None:
        raise ValueError(
            "a url must not hold a password, it would be seen: write user@host, and the password"
            " into a file that password_file names"
        )
    if not parts.hostname:
        raise ValueError(f"{ALLOWED}; it names no host")
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    user = unquote(parts.username or "")
    known: Scheme = scheme  # type: ignore[assignment] # one of _PORTS
    return Address(known, parts.hostname, port or _PORTS[scheme], user, rest)
