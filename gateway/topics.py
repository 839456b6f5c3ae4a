"""MQTT topic filters, and the subjects and topics of our own.

Everything that names a topic or a subject of Weir is here, once.
"""

import re

OUTCOME_ROOT = "outcomes"
"""First level of the outcomes' subjects at the hub and of their copies on the device broker."""

OUTQ_LIVE = "outq.live"
OUTQ_LATE = "outq.late"
OUTQ_REFUSED = "outq.refused"
OUTQ_PLAN = "outq.plan"
OUTQ_STREAM = "OUTQ"
HUB_STREAM = "OUTCOMES"

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def token(text: str) -> str:
    """Return ``text`` as one token of a NATS subject and one level of an MQTT topic.

    Letters, digits, ``_`` and ``-`` stay, everything else becomes ``-``; never empty.
    """
    return _UNSAFE.sub("-", text).strip("-") or "-"


def matches(topic_filter: str, topic: str) -> bool:
    """Say whether an MQTT topic filter matches a topic (MQTT 5.0, section 4.7).

    Wildcards at the first level do not match topics that begin with ``$`` (4.7.2).
    """
    if topic.startswith("$") and topic_filter[:1] in {"#", "+"}:
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(given) or (level not in {"+", given[i]}):
            return False
    return len(wanted) == len(given)


def covers(wide: str, narrow: str) -> bool:
    """Say whether every topic that the filter ``narrow`` matches is matched by ``wide`` too."""
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    for i, level in enumerate(wide_levels):
        if level == "#":
            return True
        if i >= len(narrow_levels) or narrow_levels[i] == "#":
            return False
        if level not in {"+", narrow_levels[i]}:
            return False
    return len(wide_levels) == len(narrow_levels)


def smallest_cover(filters: list[str]) -> list[str]:
    """Drop every filter that another one covers, so that no message is delivered twice for it."""
    unique = sorted(set(filters))
    return [f for f in unique if not any(o != f and covers(o, f) for o in unique)]


def outcome_subject(gateway: str, domain: str, asset: str, kind: str, fingerprint: str) -> str:
    """Return an outcome's subject at the hub: ``outcomes.`` and one token for each argument."""
    levels = (OUTCOME_ROOT, gateway, domain, asset, kind, fingerprint)
    return ".".join(token(level) for level in levels)
