"""A box from its installation to its purge, with devices that go on sending all the time."""

import json
import math
import shlex
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.truth import Comparison, compare, expected
from gateway.access import packets
from tests.box.machine import HOST_NAME, UNITS, BoxError, Machine, run, wait, write
from tests.box.outside import Hub, Plant
from tests.box.upgrade import CONFFILE, NEW_LINE, later

ROOT = Path(__file__).parents[2]
STATE = "/var/lib/weir"
APT = "apt-get -y -q -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0"
EDIT = "# A line that the administrator wrote."
ADMIN_FILES = (
    "/etc/weir/gateway.d/90-admin.toml",
    "/etc/systemd/system/weir-gateway.service.d/local.conf",
)
_DEVICES = [f"machine-{n}" for n in range(4)]
_OPEN = {1883, 8883, 8884}
"""Ports that a box may have open to its network."""
_ON_THE_WAY_S = 1.0
"""What the broker has acknowledged and holds in memory until the gateway has stored it."""
_HUB_KNOWS_S = 120.0
"""How long the hub knows an outcome again that comes a second time."""
_BUSY = 3.0
"""What share above a goal is still put down to a busy machine."""
_LIST = (
    r"find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /debs"
    r" -o -path /root -o -path /var/cache -o -path /var/log -o -path /var/lib/dpkg"
    r" -o -path /var/lib/apt -o -path /var/lib/systemd \) -prune -o -print | sort"
)


_PAGES = """
import pathlib, re
root = pathlib.Path("/usr/share/doc/weir-gateway")
for page in root.rglob("*.md"):
    print(page.relative_to(root))
    for link in re.findall(r"\\]\\((?!https?:|#)([^)#]+)", page.read_text()):
        if not (page.parent / link).exists():
            print(f"{page.name}->{link}")
"""
"""Prints the pages of the manual on a box, and as PAGE->LINK what leads nowhere."""


@dataclass(slots=True)
class Record:
    """What was measured and what was found wrong.

    Attributes:
        rows: What was done, how long it took in seconds, and what there is to know of it.
        faults: What is not as it should be.
    """

    rows: list[tuple[str, float | None, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, what: str, seconds: float | None, remark: str = "") -> None:
        """Note and print a row."""
        self.rows.append((what, seconds, remark))
        took = "" if seconds is None else f"{seconds:7.1f} s"
        print(f"  {what:<44}{took:>10}  {remark}", flush=True)  # noqa: T201 - the test's table

    def goal(self, what: str, seconds: float, goal_s: float, remark: str = "") -> None:
        """Note a row with a goal; missed by far it is a fault, for machines are busy at times."""
        missed = " (missed)" if seconds > goal_s else ""
        self.add(what, seconds, f"{remark}goal: {goal_s:.0f} s{missed}")
        self.expect(seconds <= _BUSY * goal_s, f"{what}: {seconds:.0f} s")

    def expect(self, good: object, fault: str) -> None:
        """Note a fault unless something is true."""
        if not good:
            self.faults.append(fault)
            print(f"  WRONG: {fault}", flush=True)  # noqa: T201 - the test's table


@dataclass(slots=True)
class Life:
    """A box with what stands around it.

    Attributes:
        record: What was measured.
        passwords: Of the devices, as the box gave them.
        phases: What was done, and which reading of each device was the first in it.
        away_s: The longest time without an outcome, after a restart.
    """

    box: Machine
    hub: Hub
    debs: list[Path]
    folder: Path
    rate_hz: float = 20.0
    record: Record = field(default_factory=Record)
    passwords: dict[str, str] = field(default_factory=dict)
    phases: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    away_s: float = 0.0

    @contextmanager
    def timed(self, what: str, remark: str = "") -> Iterator[list[str]]:
        """Time what happens in the block; remarks may be appended to what is given."""
        remarks = [remark] if remark else []
        began = time.monotonic()
        yield remarks
        self.record.add(what, time.monotonic() - began, "; ".join(remarks))

    def status(self) -> dict[str, Any]:
        """Return what `weir status` says, or nothing while nobody answers."""
        said = self.box.call("weir status --json", 30 * self.box.slowness)
        try:
            found: dict[str, Any] = json.loads(said.text)
        except ValueError:
            return {}
        return found

    def install(self) -> None:
        """Install our packages, and wait until devices may come."""
        names = " ".join(f"/debs/{deb.name}" for deb in self.debs)
        began = time.monotonic()
        run(self.box, f"{APT} install {names}", 180)
        size = sum(deb.stat().st_size for deb in self.debs) / 1e6
        took_s = time.monotonic() - began
        self.record.goal("apt install", took_s, 20 * self.box.slowness, f"{size:.0f} MB; ")
        self.record.add("until it is ready for devices", self.await_units())

    def join(self) -> None:
        """Join the hub."""
        scheme, _, rest = self.hub.leaf_url.partition("://")
        login, _, where = rest.rpartition("@")
        user, _, password = login.partition(":")
        write(self.box, "/root/hub.token", password)
        known = f" --user {user} --token-file /root/hub.token" if login else ""
        with self.timed("weir join"):
            run(self.box, f"weir join {scheme}://{where}{known} --wait 0 --json", 60)

    def drop(self, plugin: Path) -> None:
        """Drop a plugin in."""
        self.box.put(plugin, f"{STATE}/plugins")
        self.record.add("a plugin is dropped in", None, plugin.name)

    def settle(self) -> None:
        """Wait until nothing is under way."""

        def settled() -> bool:
            status = self.status()
            if not status:
                return False
            due = sum(plugin["due"] for plugin in status["plugins"])
            return not (status["messages"]["in_hand"] or due or status["outcomes"]["queued"])

        wait("the gateway to settle", settled, 60 * self.box.slowness, 0.5)

    def await_units(self, limit_s: float = 60.0) -> float:
        """Wait until every unit is active and the gateway is ready for devices."""
        command = f"systemctl is-active {' '.join(UNITS)} | grep -cx active"

        def ready() -> bool:
            active = self.box.call(command, 30 * self.box.slowness).text.strip()
            return active == str(len(UNITS)) and bool(self.status().get("ready"))

        try:
            return wait("the units", ready, limit_s * self.box.slowness)
        except BoxError as exc:
            journal = self.box.call("systemctl --failed; journalctl -b -n 60 --no-pager").text
            raise BoxError(f"{exc}\n{journal}") from exc

    def next_outcome(self, limit_s: float = 60.0) -> float:
        """Wait for an outcome at the hub, of a window that ends from now on."""
        now_ms = time.time() * 1000

        def there() -> bool:
            return any(told.end_ms > now_ms for told in self.hub.told())

        return wait("an outcome", there, limit_s * self.box.slowness, 0.1)

    def pid(self, unit: str) -> int:
        """Return the main process of a unit, 0 for none."""
        return int(run(self.box, f"systemctl show -p MainPID --value {unit}"))

    def begin(self, phase: str, plant: Plant, before_s: float = 0.0) -> None:
        """Note which readings come before a phase, or before some seconds before it."""
        fewer = math.ceil(before_s * self.rate_hz / len(plant.devices))
        firsts = {device.name: max(0, device.sent - fewer) for device in plant.devices}
        self.phases.append((phase, firsts))


def live(box: Machine, hub: Hub, debs: list[Path], folder: Path, rate_hz: float = 20.0) -> Record:
    """Take a box through its life and return what came of it.

    Args:
        box: Clean, and running.
        hub: Outside.
        debs: Our packages, weir-gateway first; they lie in /debs in the box.
        folder: For files of the test's own.
        rate_hz: Readings per second, all devices together.
    """
    life = Life(box, hub, debs, folder, rate_hz)
    run(box, f"{_LIST} > /root/before")
    began = time.monotonic()
    life.install()
    _look(life)
    _let_in(life)
    life.join()
    life.drop(ROOT / "benchmarks/plugins/bench-mean")
    address = box.device_address(1883)
    with Plant(life.passwords, address, len(_DEVICES) / rate_hz) as plant:
        wait("an outcome", hub.count, 60.0 * box.slowness, 0.05)
        first_s = time.monotonic() - began
        life.record.goal("from apt to the first outcome at the hub", first_s, 60 * box.slowness)
        life.begin("steady", plant)
        _refuse(life)
        _kill_each(life, plant)
        _restart(life, plant)
        _upgrade(life, plant)
        life.begin("end", plant)
        plant.finish(60 * box.slowness)
        life.settle()
    _account(life, plant)
    _remove_and_reinstall(life)
    _purge(life)
    return life.record


def _look(life: Life) -> None:
    """Look at a box that nobody has configured."""
    pages = run(life.box, f"python3 -c {shlex.quote(_PAGES)}").split()
    life.record.expect("docs/install.md" in pages, f"the manual is not on the box: {pages}")
    broken = [each for each in pages if "->" in each]
    life.record.expect(not broken, f"links of the manual lead nowhere: {broken}")
    said = run(life.box, "ss -H -ltnup")
    lines = [line.split() for line in said.splitlines() if "host0:bootpc" not in line]
    beyond: set[int] = set()
    for words in lines:
        address, _, port = words[4].rpartition(":")
        loopback = address.startswith("127.") or address in {"[::1]", "[::ffff:127.0.0.1]"}
        if not loopback and "systemd-network" not in words[-1]:
            beyond.add(int(port))
    life.record.expect(beyond <= _OPEN, f"open to the network: {sorted(beyond - _OPEN)}")
    for words in sorted(lines, key=lambda each: each[4]):
        program = words[6].split('"')[1] if len(words) > 6 and '"' in words[6] else "?"
        life.record.add(f"listens: {words[0]} {words[4]}", None, program)
    failed = run(life.box, "systemctl --failed --plain --no-legend").strip()
    life.record.expect(not failed, f"failed units: {failed}")


def _let_in(life: Life) -> None:
    with life.timed("weir device add") as remarks:
        for line in run(life.box, f"weir device add {' '.join(_DEVICES)} --json").splitlines():
            said = json.loads(line)
            life.passwords[said["name"]] = said["password"]
        remarks.append(f"{len(_DEVICES)} devices")


def _refuse(life: Life) -> None:
    """Come with a wrong password, and see that the doctor tells of it."""
    with socket.create_connection(life.box.device_address(1883), 10 * life.box.slowness) as knock:
        knock.sendall(packets.connect(_DEVICES[0], _DEVICES[0], "wrong"))
        refused = knock.recv(4) == packets.connack(4, 5)
    life.record.expect(refused, "a wrong password was not refused")
    with life.timed("weir doctor") as remarks:
        said = json.loads(run(life.box, "weir doctor --json 2>/dev/null; true"))
        [told] = [each["says"] for each in said["findings"] if each["check"] == "logins"]
        remarks.append(told)
    life.record.expect("1 connection refused" in told, "weir doctor does not tell of it")
    failing = [each["says"] for each in said["findings"] if each["state"] == "fail"]
    life.record.expect(not failing, f"weir doctor on a healthy box: {failing}")


def _kill_each(life: Life, plant: Plant) -> None:
    for unit in UNITS:
        life.begin(f"kill {unit}", plant)
        before = life.pid(unit)
        life.record.expect(before, f"{unit} has no process")
        began = time.monotonic()
        run(life.box, f"kill -9 {before}")
        wait(f"{unit} after kill -9", partial(_is_back, life, unit, before), 30 * life.box.slowness)
        back_s = time.monotonic() - began
        life.next_outcome()
        all_s = time.monotonic() - began
        life.record.add(f"kill -9 {unit}: next outcome", all_s, f"unit active in {back_s:.1f} s")


def _is_back(life: Life, unit: str, before: int) -> bool:
    active = life.box.call(f"systemctl is-active {unit}").text.strip() == "active"
    return active and life.pid(unit) not in {0, before}


def _restart(life: Life, plant: Plant) -> None:
    ways: dict[str, Callable[[], float]] = {
        "reboot": life.box.reboot,
        "power cut": life.box.cut_power,
    }
    for name, way in ways.items():
        life.begin(name, plant, _ON_THE_WAY_S * life.box.slowness if name == "power cut" else 0.0)
        began = time.monotonic()
        systemd_s = way()
        life.next_outcome()
        all_s = time.monotonic() - began
        life.away_s = max(life.away_s, all_s)
        life.record.add(f"{name}: next outcome", all_s, f"systemd up in {systemd_s:.1f} s")
        wait(
            "devices", lambda: all(each.connections for each in plant.devices), 30, 0.1
        )  # they connect anew by themselves


def _upgrade(life: Life, plant: Plant) -> None:
    run(life.box, f"echo '{EDIT}' >> /{CONFFILE}")
    newer = later(life.debs[0], life.folder)
    life.box.put(newer, "/debs")
    life.begin("upgrade", plant)
    for name, deb, option in (
        ("upgrade", newer, ""),
        ("downgrade", life.debs[0], "--allow-downgrades "),
    ):
        began = time.monotonic()
        run(life.box, f"{APT} install {option}/debs/{deb.name}", 120)
        apt_s = time.monotonic() - began
        life.await_units()
        life.next_outcome()
        all_s = time.monotonic() - began
        life.record.add(f"{name} under load: next outcome", all_s, f"apt took {apt_s:.1f} s")
        kept = run(life.box, f"cat /{CONFFILE}")
        life.record.expect(EDIT in kept, f"{name}: the edited conffile is lost")
        if name == "upgrade":
            beside = life.box.call(f"cat /{CONFFILE}.dpkg-dist").text
            life.record.expect(NEW_LINE in beside, "the new conffile does not lie beside")


def _account(life: Life, plant: Plant) -> None:
    """Compare what devices sent with what is stored, and what is due with what is at the hub."""
    run(life.box, "systemctl stop weir-gateway", 60)
    store = life.folder / "weir.duckdb"
    life.box.get(f"{STATE}/weir.duckdb", store)
    if life.box.call(f"test -s {STATE}/weir.duckdb.wal").code == 0:
        life.box.get(f"{STATE}/weir.duckdb.wal", store.with_suffix(".duckdb.wal"))
    run(life.box, "systemctl start weir-gateway", 60)
    missing, twice = _readings(store, plant)
    life.record.add("readings sent, acknowledged", None, f"{plant.sent}, {plant.acked}")
    by_phase = {name: _within(life, name, missing) for name, _ in life.phases}
    remark = ", ".join(f"{name}: {count}" for name, count in by_phase.items() if count) or "none"
    life.record.add("acknowledged readings not stored", None, remark)
    held = {name for name, _ in life.phases if name in {"power cut", "kill weir-mqtt"}}
    for name, count in by_phase.items():
        life.record.expect(not count or name in held, f"{name}: {count} readings lost")
    life.record.expect(not twice, f"{twice} readings stored twice")
    found = _compare(store, life.hub)
    life.record.add("outcomes due, at the hub", None, f"{found.expected}, {found.at_hub}")
    once = found.exact
    if life.away_s > _HUB_KNOWS_S:  # docs/outcomes.md: an outcome may then come twice
        life.record.add(
            "outcomes that came twice", None, f"{found.twice}: box away {life.away_s:.0f} s"
        )
        once = found.expected > 0 and not (found.missing or found.extra)
    life.record.expect(once, f"outcomes: {found}")


def _readings(store: Path, plant: Plant) -> tuple[dict[str, set[int]], int]:
    """Return which acknowledged readings the store lacks, by device, and how many it has twice."""
    with duckdb.connect(str(store), read_only=True) as db:
        rows = db.execute(
            "SELECT device, value, count(*) FROM readings WHERE metric = 'seq' GROUP BY ALL"
        ).fetchall()
    stored: dict[str, set[int]] = {}
    for device, value, _ in rows:
        stored.setdefault(device, set()).add(int(value))
    twice = sum(count - 1 for _, _, count in rows)
    return {each.name: each.acked - stored.get(each.name, set()) for each in plant.devices}, twice


def _within(life: Life, phase: str, missing: dict[str, set[int]]) -> int:
    """Return how many of the missing readings were sent in a phase."""
    names = [name for name, _ in life.phases]
    at = names.index(phase)
    first = life.phases[at][1] if at else {}
    until = life.phases[at + 1][1] if at + 1 < len(names) else {}
    return sum(
        first.get(device, 0) <= number < until.get(device, number + 1)
        for device, numbers in missing.items()
        for number in numbers
    )


def _compare(store: Path, hub: Hub) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        for file in store.parent.glob("weir.duckdb*"):
            (state / file.name).write_bytes(file.read_bytes())
        return compare(expected(state), hub.told(), HOST_NAME)


def _remove_and_reinstall(life: Life) -> None:
    box, record = life.box, life.record
    with life.timed("apt remove"):
        run(box, f"{APT} remove weir-gateway", 120)
    record.expect(box.call(f"test -s {STATE}/weir.duckdb").code == 0, "remove took the store")
    running = [unit for unit in UNITS if box.call(f"systemctl is-active -q {unit}").code == 0]
    record.expect(not running, f"still running after remove: {running}")
    began = time.monotonic()
    run(box, f"{APT} install /debs/{life.debs[0].name}", 120)
    life.await_units()
    with Plant(life.passwords, box.device_address(1883), len(_DEVICES) / life.rate_hz):
        life.next_outcome()
    record.add("reinstall: next outcome", time.monotonic() - began, "same data, passwords, hub")


def _purge(life: Life) -> None:
    box, record = life.box, life.record
    for file in ADMIN_FILES:
        run(box, f"mkdir -p $(dirname {file}); echo '# of the administrator' > {file}")
    with life.timed("apt purge, with what came along"):
        run(box, f"{APT} purge --autoremove weir-gateway weir-runtime mosquitto", 180)
    run(box, f"{_LIST} > /root/after")
    left = run(box, "comm -13 /root/before /root/after").split("\n")
    kept = {str(parent) for file in ADMIN_FILES for parent in Path(file).parents} | {*ADMIN_FILES}
    ours = [line for line in left if "weir" in line and line not in kept]
    record.expect(not ours, f"left behind: {' '.join(ours[:20])}")
    gone = [file for file in ADMIN_FILES if file not in left]
    record.expect(not gone, f"the administrator's files are gone: {gone}")
    others = [line for line in left if line and line not in kept and line not in ours]
    python = sum("python3" in line for line in others)
    remark = f"{len(ours)}; by Debian's python3 {python}, by others {len(others) - python}"
    record.add("files left behind by ours", None, remark)
    failed = run(box, "systemctl --failed --plain --no-legend").strip()
    record.expect(not failed, f"failed units: {failed}")
