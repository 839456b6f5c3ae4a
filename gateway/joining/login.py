"""What was said on the command line about a hub, sorted into what is shown and what is secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from gateway.config import without_login
from gateway.config.values import hub_url
from gateway.errors import ConfigError

CREDS_HEAD = "-----BEGIN NATS USER JWT-----"
_IN_THE_CLEAR = ("nats", "nats-leaf", "ws")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A hub, and how it knows this gateway.

    Attributes:
        url: Without user and password.
        login: ``user:password`` or a token, each part percent-encoded as in a url; "" for none.
        creds: The credentials file as it was given, or None.
        ca: A certificate authority's file as it was given, or None for the system's.
    """

    url: str
    login: str = ""
    creds: Path | None = None
    ca: Path | None = None

    @property
    def is_open_to_listeners(self) -> bool:
        """Say whether a token or password would cross the network unencrypted."""
        return bool(self.login) and urlsplit(self.url).scheme in _IN_THE_CLEAR

    def tables(self, login_file: Path) -> dict[str, Any]:
        """Return ``[hub]`` for a try with the files as they were given, the login in a file."""
        return {
            "url": self.url,
            "credentials_file": str(self.creds) if self.creds else None,
            "ca_file": str(self.ca) if self.ca else None,
            "login_file": str(login_file) if self.login else None,
        }


def invitation(
    url: str, *, token: str = "", user: str = "", creds: Path | None = None, ca: Path | None = None
) -> Invitation:
    """Sort what was said.

    Args:
        url: Of the hub, perhaps with a user and password or a token in it.
        token: What the hub wants to hear; with a user that one's password.
        user: A user of the hub.
        creds: A NATS credentials file.
        ca: The authority that signed the hub's certificate.

    Raises:
        ConfigError: Two ways to log in, half of one, or a file that is not what it should be.
    """
    try:
        hub_url(url)
    except ValueError as exc:
        raise ConfigError([f"{without_login(url)}: {exc}"]) from exc
    in_url = _login_of(url)
    ways = [
        name
        for name, said in (
            ("a login in the url", in_url),
            ("a token", token),
            ("--creds", creds),
        )
        if said
    ]
    if len(ways) > 1:
        raise ConfigError([f"one way to log in is enough; these were given: {', '.join(ways)}"])
    if user and not token:
        raise ConfigError(
            [f"--user {user}: its password is missing; --token-file FILE, or - to type it"]
        )
    if creds:
        _check_creds(creds)
    if ca and not ca.is_file():
        raise ConfigError([f"--ca {str(ca)!r}: no such file"])
    login = in_url or ":".join(quote(part, safe="") for part in (user, token) if part)
    return Invitation(without_login(url), login, creds, ca)


def _login_of(url: str) -> str:
    """Return user and password of a url, encoded anew so that nothing in them is left plain."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    return ":".join(quote(unquote(part), safe="") for part in user.split(":", 1)) if at else ""


def _check_creds(creds: Path) -> None:
    try:
        text = creds.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "not a text file"
        raise ConfigError([f"--creds {str(creds)!r}: {reason}"]) from exc
    if CREDS_HEAD not in text or "NKEY SEED" not in text:
        raise ConfigError(
            [
                f"--creds {str(creds)!r}: not a NATS credentials file; it has a user JWT and an "
                "NKEY seed, as `nsc generate creds` writes them"
            ]
        )
