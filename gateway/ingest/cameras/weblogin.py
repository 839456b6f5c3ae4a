"""Logging in at HTTP cameras: basic and digest, by the standard library, its gaps filled."""

import hashlib
import http.client
import urllib.request
from collections.abc import Callable
from typing import IO

from gateway.ingest.cameras.address import Address


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Digest login with any password and with SHA-256 too (RFC 7616)."""

    def http_error_401(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> http.client.HTTPResponse | None:
        """Answer a 401 that offers digest, and no other: the library raises ValueError there."""
        if _offers(headers, "digest"):
            return super().http_error_401(req, fp, code, msg, headers)
        return None

    def get_algorithm_impls(
        self, algorithm: str
    ) -> tuple[Callable[[str], str], Callable[[str, str], str]]:
        """Return H and KD of RFC 2617, over UTF-8: the library's own take ASCII alone."""
        names = {"MD5": "md5", "SHA": "sha1", "SHA-256": "sha256"}
        if algorithm not in names:
            raise ValueError("an unknown algorithm")

        def h(text: str) -> str:
            return hashlib.new(names[algorithm], text.encode(), usedforsecurity=False).hexdigest()

        def kd(secret: str, data: str) -> str:
            return h(f"{secret}:{data}")

        return h, kd


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """Basic login."""

    def http_error_401(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> http.client.HTTPResponse | None:
        """Answer a 401 that offers basic, and no other: the library raises ValueError there."""
        if _offers(headers, "basic"):
            return super().http_error_401(req, fp, code, msg, headers)
        return None


def _offers(headers: http.client.HTTPMessage, scheme: str) -> bool:
    """Say whether the first way to log in, the one that the library looks at, is this one."""
    return headers.get("www-authenticate", "").lower().startswith(f"{scheme} ")


def opener_for(address: Address, password: str) -> urllib.request.OpenerDirector:
    """Return what speaks HTTP only, through no proxy: a camera is on site."""
    logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if address.user:
        logins.add_password(None, address.bare, address.user, password)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
        _Digest(logins),
        _Basic(logins),
    ):
        opener.add_handler(handler)
    return opener
