"""Whether the ports of our Mosquitto are free, or another program has one: asked before its start.

Run as ``python -m gateway.mqtt_ports CONFIGURATION``; it says what is in the way, and what to do,
and its exit code has systemd skip the unit (``ExecCondition=``), as nothing is broken.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.leaf.ports import is_free

SKIP = 1
_LISTENER = re.compile(r"^listener\s+(\d+)(?:\s+([0-9a-fA-F.:]+))?\s*$", re.MULTILINE)
_ANYWHERE = "0.0.0.0"  # noqa: S104 - where Mosquitto listens by default
_CGROUPS = Path("/sys/fs/cgroup")
_REMEDY = (
    'either use that broker ([mqtt] broker = "mqtt://127.0.0.1:{port}" with username and '
    "password_file in /etc/weir/gateway.d/, then: systemctl restart weir-gateway), or stop it "
    "for good and start ours ({stop}systemctl start weir-mqtt weir-gateway)"
)


def listeners(configuration: str) -> list[tuple[str, int]]:
    """Return address and port of each listener of a Mosquitto configuration."""
    return [(host or _ANYWHERE, int(port)) for port, host in _LISTENER.findall(configuration)]


def in_the_way(wanted: Iterable[tuple[str, int]], cgroups: Path = _CGROUPS) -> str:
    """Return which port is taken, by what, and what to do; "" when all are free."""
    taken = [port for host, port in wanted if not is_free(host, port)]
    if not taken:
        return ""
    told = " and ".join(map(str, taken))
    if _runs("mosquitto.service", cgroups):
        who, stop = "this box's own Mosquitto (mosquitto.service)", "systemctl disable --now "
        stop += "mosquitto; "
    else:
        who, stop = f"another program (ss -ltnp 'sport = :{taken[0]}' names it)", ""
    return (
        f"weir-mqtt is not started: port {told} is held by {who}. "
        f"{_REMEDY.format(port=taken[0], stop=stop)}"
    )


def _runs(unit: str, cgroups: Path) -> bool:
    """Say whether a unit has processes; root is not needed to see that."""
    folders = (cgroups, cgroups / "systemd", cgroups / "unified")  # v2, and v1's two
    for folder in folders:
        try:
            if (folder / "system.slice" / unit / "cgroup.procs").read_text().strip():
                return True
        except OSError:
            continue
    return False


def main(arguments: Sequence[str]) -> int:
    """Say what is in the way of a configuration's ports.

    Returns:
        0 when nothing is.
    """
    said = in_the_way(listeners(Path(arguments[0]).read_text(encoding="utf-8")))
    if said:
        sys.stderr.write(f"{said}\n")
    return SKIP if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
