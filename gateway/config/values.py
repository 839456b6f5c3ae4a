"""Checks of single values; each raises `ValueError` with what is allowed."""

import re
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.topics import token

_LOGIN = re.compile(r"(?<=//)[^/@\s]*@")


def broker_url(value: str) -> str:
    """Return the device broker, if it is one."""
    allowed = 'must be "embedded", "mqtt://host:1883" or "mqtts://host:8883"'
    if value == "embedded":
        return value
    if not re.fullmatch(r"mqtts?://[^/\s:@]+(:\d{1,5})?/?", value):
        raise ValueError(allowed)
    if (_port(value) or 1) > 65535:
        raise ValueError(f"{allowed}; a port is at most 65535")
    return value


def hub_url(value: str) -> str:
    """Return the hub's url, if it is one; "" for none."""
    if not value:
        return value
    allowed = 'must be "" or like "nats-leaf://host:7422", "tls://..." or "wss://..."'
    if not re.fullmatch(r"(nats-leaf|nats|tls|wss?)://\S+", value):
        raise ValueError(allowed)
    if _port(value) == -1 or not urlsplit(value).hostname:
        raise ValueError(f"{allowed}; host or port is not valid")
    return value


def one_token(value: str) -> str:
    """Return a name that can stand in a subject and in a topic."""
    if value != token(value):
        raise ValueError("may hold letters, digits, - and _ only")
    return value


def known_timezone(value: str) -> str:
    """Return the name of a time zone that this machine knows."""
    try:
        if value != "UTC":  # known even where the machine has no tzdata
            ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(
            "unknown time zone; must be like UTC or Europe/Berlin (package tzdata holds them)"
        ) from exc
    return value


def without_login(url: str) -> str:
    """Return a text in which urls have no user and password any more."""
    return _LOGIN.sub("", url)


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return -1 if url.startswith(("nats", "tls", "ws")) else 65536
