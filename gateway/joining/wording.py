"""What nats-server writes into its log when a link to a hub fails, in words that help. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class _Sign(NamedTuple):
    pattern: re.Pattern[str]
    words: str


def _signs(*pairs: tuple[str, str]) -> tuple[_Sign, ...]:
    return tuple(_Sign(re.compile(pattern, re.IGNORECASE), words) for pattern, words in pairs)


_SIGNS = _signs(
    (
        "authorization violation|authentication (timeout|expired)",
        "the hub does not let this gateway in: user, password, token or credentials are wrong, or "
        "unknown there",
    ),
    (
        "signed by unknown authority",
        "the hub's certificate is signed by an authority that this box does not know: "
        "name its file with --ca",
    ),
    (
        r"certificate (has expired|is not yet valid).*|expired or is not yet valid",
        "the hub's certificate is not valid now: it has expired, or this box's clock is wrong "
        "(weir doctor)",
    ),
    (
        "x509: .*(not valid for|valid for|doesn't contain any)",
        "the hub's certificate is for another name than the one in the url",
    ),
    ("x509: |failed to verify certificate", "the hub's certificate is refused"),
    (
        "wrong port",
        "that is the hub's port for NATS clients; the one for gateways is usually 7422",
    ),
    (
        "invalid websocket connection",
        "no NATS hub answers there over HTTP: another web server, or a proxy that does not pass "
        "websockets on",
    ),
    ("no such host|server misbehaving", "no such host: the name is wrong, or DNS does not answer"),
    ("connection refused", "nothing listens there: another port, or the hub is down"),
    ("no route to host|network is unreachable", "there is no way to that network from here"),
    ("i/o timeout", "no answer: a firewall on the way, or the address is wrong"),
    (
        r"credentials file|\bnkeys?\b|\bjwt\b",
        "the credentials file cannot be used",
    ),
    (
        "TLS handshake failure",
        "the hub does not speak TLS on that port; nats:// would go unencrypted",
    ),
    (
        "permissions violation for publish",
        "the hub lets this gateway in, and not publish under its name",
    ),
)


def reason(lines: Iterable[str]) -> str:
    """Return why a link is not there, by the first line that says it; "" when none does.

    Args:
        lines: Of nats-server's log.
    """
    for line in lines:
        if "[WRN]" in line:  # of our own configuration
            continue
        for sign in _SIGNS:
            if sign.pattern.search(line):
                return f"{sign.words} ({detail(line)})"
    return ""


def detail(line: str) -> str:
    """Return what a line says, without time and process, at most 200 characters."""
    said = re.sub(r"^\[\d+\] \S+ \S+ \[\w+\] ", "", line.strip())
    said = re.sub(r"^\S+:\d+ - lid\w*:\d+ - ", "", said)
    return said[:200]
