"""Devices that the broker turned away, as its journal has it."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.doctor.finding import Box, Finding, ok, unseen, warn
from gateway.doctor.units import BOOTED, run

UNIT = "weir-mqtt.service"
_HOUR_S = 3600.0
_MOST_LINES = "50000"
_SHOWN = 3

_LINE = re.compile(r"(\d+\.\d+) \S+ [^ ]+: (.*)")  # journalctl -o short-unix
_OPENED = re.compile(r"New connection from (.+):(\d+) on port \d+\.")
_LET_IN = re.compile(r"New client connected from (.+):(\d+) as (.+) \(p\d.*\)\.")
_GONE = re.compile(r"Client (\S+)(?: \[(.+):\d+\])? (?:closed|disconnected|has exceeded)")
_REFUSED = re.compile(r"Client (\S+)(?: \[(.+):\d+\])? disconnected[,:] not authorised\.")
_TLS = re.compile(r"(?:OpenSSL Error\[0\]|Client connection from \S+ failed): (?:.*:)?(.+?)\.?$")
_UNKNOWN = "<unknown>"
_KEY = "an identity or key that is not known"
_TRUST = "the device does not trust the box's certificate"
_WHY = {
    "psk identity not found": _KEY,
    "no suitable signature algorithm": _KEY,  # at the port for keys, with TLS 1.3
    "tlsv1 alert unknown ca": _TRUST,
    "sslv3 alert bad certificate": _TRUST,
}


@dataclass(slots=True)
class Logins:
    """What a stretch of the broker's log says.

    Attributes:
        refused: How often for a user, password or none at all, by address.
        tls: How often TLS failed, by reason.
        users: Who was let in from an address, the last one.
    """

    refused: Counter[str] = field(default_factory=Counter)
    tls: Counter[str] = field(default_factory=Counter)
    users: dict[str, str] = field(default_factory=dict)


def logins(box: Box) -> Iterator[Finding]:
    """Tell which connections the broker refused in the last hour."""
    if box.settings.mqtt.broker == "embedded":
        return
    if not BOOTED.is_dir():
        yield unseen("refused logins: systemd does not run this box; see the broker's own log", "")
        return
    command = ("journalctl", "-u", UNIT, "--since", "-24h", "-n", _MOST_LINES, "-o", "short-unix")
    said = run(*command, "--no-pager", "-q")
    if said is None or (not said and not box.is_root):
        yield unseen("refused logins", "run it as root, or as a member of systemd-journal")
    else:
        yield told(read(said.splitlines(), time.time() - _HOUR_S))


def read(lines: Iterable[str], since_s: float) -> Logins:
    """Return what Mosquitto 2.0 and 2.1 say of logins.

    2.0 says neither address nor user when it refuses one. The address is that of the newest
    connection that was not let in: devices say at once who they are. Of several that come at the
    same moment all are refused, or one is taken for another.

    Args:
        lines: As ``journalctl -o short-unix`` prints them.
        since_s: Unix time from which on is counted; who was let in is noted from all of it.
    """
    found = Logins()
    waiting: dict[tuple[str, str], None] = {}  # address and port, in the order in which they came
    for line in lines:
        if not (parts := _LINE.match(line)):
            continue
        counts, text = float(parts[1]) >= since_s, parts[2]
        if opened := _OPENED.match(text):
            waiting[opened[1], opened[2]] = None
        elif let_in := _LET_IN.match(text):
            waiting.pop((let_in[1], let_in[2]), None)
            found.users[let_in[1]] = let_in[3]
        elif failed := _TLS.search(text):
            found.tls[_WHY.get(failed[1], failed[1])] += counts
        elif gone := _GONE.match(text):
            refused = _REFUSED.match(text)
            newest = waiting.popitem()[0][0] if waiting and (refused or _is_nobody(gone)) else ""
            if refused:
                found.refused[refused[2] or newest or "an address not seen"] += counts
    return found


def _is_nobody(gone: re.Match[str]) -> bool:
    return gone[1] == _UNKNOWN


def told(found: Logins) -> Finding:
    """Return whether devices try in vain to come in."""
    refused, tls = +found.refused, +found.tls
    if not refused and not tls:
        return ok("no connection of a device was refused in the last hour")
    parts = []
    if refused:
        some = "; ".join(
            _from(address, count, found) for address, count in refused.most_common(_SHOWN)
        )
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        parts.append(
            f"{_connections(refused.total())} refused in the last hour, for their user or "
            f"password (Mosquitto does not say which): {some}{more}"
        )
    parts += [
        f"{_connections(count)} with TLS failed: {why}" for why, count in tls.most_common(_SHOWN)
    ]
    return warn(
        "; ".join(parts),
        "compare user and password in the device with weir device list; weir device rotate NAME "
        "makes a new one; weir pair shows who a device says it is, pointed at port 1882",
    )


def _from(address: str, count: int, found: Logins) -> str:
    user = found.users.get(address)
    return f"{count:,} from {address}" + (f", where {user} was let in before" if user else "")


def _connections(count: int) -> str:
    return f"{count:,} connection{'' if count == 1 else 's'}"
