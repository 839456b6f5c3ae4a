"""The three books: what devices sent, what is stored, what the hub holds.

After each round, as far as it has come in by then: a reading that a killed gateway had in hand is
given again by the embedded broker only after ten seconds, so what was sent shortly before may be
missing until then. When the gateway stops in order, all of it, from the readings alone.
"""

import time
from bisect import bisect_right
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import duckdb
import orjson

from benchmarks.kill import GATEWAY
from benchmarks.truth import PLUGIN, Told, compare, expected
from gateway.errors import GatewayError
from tests.system.faults.world import World

_NOTICE = "weir-"
SETTLED_S = 2.5
"""Longest wait for a round's end; after it the rest is looked at later."""
GIVEN_AGAIN_S = 18.0
"""In this time the embedded broker has given again what a gateway had in hand."""
WRITE_OFF_S = 2.0
"""What Mosquitto had acknowledged this long before it was killed and nobody had stored."""

_COUNTS = """
SELECT (SELECT count(DISTINCT (device, value)) FROM readings WHERE metric = 'seq'),
  (SELECT count(DISTINCT id) FROM outcome WHERE plugin = 'bench-mean')
"""
_MISSING = """
SELECT number FROM range({numbers}) AS sent(number) WHERE number NOT IN
  (SELECT value FROM readings WHERE metric = 'seq' AND device = '{name}')
"""


@dataclass(slots=True)
class Round:
    """One round and what came of it.

    Attributes:
        kinds: Names of its faults.
        began_ns, ended_ns: Its readings and windows lie between.
        recovery_s: From the fault or its end to the next outcome at the hub; None: not within
            the limit.
        goal_s: What was wished for.
        sent: Readings that devices had in it.
        outcomes: That were due in it.
        lost_readings: Acknowledged, not stored.
        lost_by_mosquitto: The same, of what only Mosquitto had.
        lost_with_file: The same, of what was in a file that was damaged.
        lost_outcomes: Due, not at the hub.
        twice_readings: Stored more than once.
        twice_raw: Messages at the hub beyond the first of an id.
        twice: Windows with more than one id, and outcomes that were not due.
        notices: What the gateway said of itself.
        disordered: Outcomes behind a later one of their source and lane.
        is_settled: All books were even at its end.
        problems: What else was wrong.
    """

    number: int
    layout: str
    kinds: list[str]
    began_ns: int
    ended_ns: int = 0
    recovery_s: float | None = None
    goal_s: float = 0.0
    sent: int = 0
    outcomes: int = 0
    lost_readings: int = 0
    lost_by_mosquitto: int = 0
    lost_with_file: int = 0
    lost_outcomes: int = 0
    twice_readings: int = 0
    twice_raw: int = 0
    twice: int = 0
    disordered: int = 0
    notices: list[str] = field(default_factory=list)
    is_settled: bool = False
    took_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Say whether every promise held."""
        lost = self.lost_readings + self.lost_outcomes + self.twice_readings
        return not (lost or self.twice or self.disordered or self.problems)


class Books:
    """The books of one box.

    Args:
        world: The box.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.rounds: list[Round] = []
        self._written_off: set[tuple[str, int]] = set()
        self._forgiven: list[tuple[int, int, Round]] = []
        self._not_kept = 0
        self._seen = 0
        self._newest: dict[tuple[str, bool], int] = {}
        self._ids: Counter[str] = Counter()

    def begin(self, one: Round) -> None:
        """Open a round."""
        self.rounds.append(one)

    def forgive(self, one: Round, from_ns: int, until_ns: int) -> None:
        """Note that Mosquitto may have taken with it what it acknowledged in this time."""
        self._forgiven.append((from_ns - int(WRITE_OFF_S * 1e9), until_ns, one))

    def close(self, one: Round, limit_s: float = SETTLED_S) -> None:
        """Wait until all is stored and told, or the limit; then look."""
        one.is_settled = self._settle(limit_s)
        if not one.is_settled and self._forgiven:
            self._write_off()
            one.is_settled = self._settle(0.5)
        status = self._status()
        if status:
            self._look_at_ledger(one, status)
        self._note_told()

    def audit(self, one: Round) -> None:
        """Look through everything; the gateway is stopped, and everything was in."""
        self._note_told()
        self._audit_readings()
        self._audit_outcomes(one)

    def await_all(self, one: Round) -> None:
        """Wait until everything is in, however long the broker takes to give it again."""
        if not self._settle(SETTLED_S) and self._forgiven:
            self._write_off()
        if not self._settle(GIVEN_AGAIN_S):
            one.problems.append(f"not settled: {self._unsettled()}")

    def _settle(self, limit_s: float) -> bool:
        until = time.monotonic() + limit_s
        while self._unsettled():
            if time.monotonic() > until:
                return False
            self._world.keep_running()
            time.sleep(0.05)
        return True

    def _unsettled(self) -> str:
        """Return what is not even yet, in words; "" when all is."""
        status, fleet = self._status(), self._world.fleet
        if fleet.open:
            return f"{fleet.open} readings not acknowledged"
        if not status.get("ready"):
            return "the gateway is not ready"
        due = sum(plugin["due"] for plugin in status["plugins"])
        in_hand, queued = status["messages"]["in_hand"], status["outcomes"]["queued"]
        if in_hand or due or queued:
            return f"{in_hand} messages in hand, {due} windows due, {queued} outcomes queued"
        stored, told = self._stored()
        if stored < fleet.sent - len(self._written_off):
            return f"{stored} of {fleet.sent} readings stored"
        at_hub = len({each.id for each in self._world.witness.told if each.plugin == PLUGIN})
        return "" if at_hub == told else f"{at_hub} of {told} outcomes at the hub"

    def _status(self) -> dict[str, Any]:
        with suppress(GatewayError):
            found: dict[str, Any] = self._world.ask("/status")
            return found
        return {}

    def _stored(self) -> tuple[int, int]:
        """Return how many readings, and how many outcomes, the store has of different kinds."""
        with suppress(GatewayError):
            readings, outcomes = self._world.ask("/sql", _COUNTS)["rows"][0]
            return int(readings), int(outcomes)
        return 0, -1

    def _look_at_ledger(self, one: Round, status: dict[str, Any]) -> None:
        messages, outcomes = status["messages"], status["outcomes"]
        dead = sum(messages["dead_letters"].values())
        ended = messages["stored"] + messages["duplicates"] + messages["shed"] + dead
        ended += messages["too_old"]
        if messages["received"] != ended + messages["in_hand"]:
            one.problems.append(f"the ledger does not add up: {messages}")
        if one.is_settled and messages["in_hand"]:
            one.problems.append(f"{messages['in_hand']} messages never ended")
        not_kept = dead + messages["shed"] + messages["too_old"] + outcomes["refused"]
        if not_kept > self._not_kept:
            one.problems.append(f"not stored: {messages}; refused: {outcomes['refused']}")
        self._not_kept = not_kept

    def _note_told(self) -> None:
        """Count what has come twice or out of order at the hub since the last look."""
        told = self._world.witness.told
        for each in told[self._seen :]:
            one = self._round_at(each.end_ms * 1_000_000)
            self._ids[each.id] += 1
            if self._ids[each.id] > 1:
                one.twice_raw += 1
                continue
            if each.plugin.startswith(_NOTICE):
                one.notices.append(f"{each.plugin}: {orjson.loads(each.payload)['label']}")
            lane = each.source, each.late
            if each.plugin == PLUGIN and each.end_ms < self._newest.get(lane, 0):
                one.disordered += 1
            self._newest[lane] = max(each.end_ms, self._newest.get(lane, 0))
        self._seen = len(told)

    def _round_at(self, time_ns: int) -> Round:
        at = bisect_right(self.rounds, time_ns, key=lambda each: each.began_ns)
        return self.rounds[max(0, at - 1)]

    def _audit_readings(self) -> None:
        store = self._world.here.state_dir / "weir.duckdb"
        with duckdb.connect(str(store), read_only=True) as db:
            rows = db.execute(
                "SELECT device, value, count(*) FROM readings WHERE metric = 'seq' GROUP BY ALL"
            ).fetchall()
        stored: dict[str, set[int]] = {}
        devices = {device.name: device for device in self._world.fleet.devices}
        for name, value, count in rows:
            stored.setdefault(name, set()).add(int(value))
            if count > 1:
                self._round_at(devices[name].sent_ns[int(value)]).twice_readings += count - 1
        for device in devices.values():
            acked = {n for n, at_ns in enumerate(device.acked_ns) if at_ns}
            for number in acked - stored.get(device.name, set()):
                self._lose(device.name, number, device.acked_ns[number])

    def _write_off(self) -> None:
        """Look which readings Mosquitto took with it, so that nobody waits for them any more."""
        for device in self._world.fleet.devices:
            with suppress(GatewayError):
                query = _MISSING.format(name=device.name, numbers=len(device.sent_ns))
                for (number,) in self._world.ask("/sql", query)["rows"]:
                    if self._who_may_have_lost(device.acked_ns[number]):
                        self._lose(device.name, number, device.acked_ns[number])

    def _who_may_have_lost(self, acked_ns: int) -> Round | None:
        for from_ns, until_ns, one in self._forgiven:
            if from_ns <= acked_ns <= until_ns:
                return one
        return None

    def _lose(self, device: str, number: int, acked_ns: int) -> None:
        if (device, number) in self._written_off:
            return
        self._written_off.add((device, number))
        one = self._who_may_have_lost(acked_ns)
        if one:
            one.lost_by_mosquitto += 1
        else:
            self._round_at(acked_ns).lost_readings += 1

    def _audit_outcomes(self, last: Round) -> None:
        due = expected(self._world.here.state_dir)
        told = [each for each in self._world.witness.told if each.plugin == PLUGIN]
        found = compare(due, told, GATEWAY)
        for one in self.rounds:
            one.outcomes = one.lost_outcomes = one.twice = 0
        named = {(each.source, each.end_ms) for each in told}
        wanted = {(source, end_us // 1000) for source, end_us in due}
        for _, end_ms in wanted:
            self._round_at(end_ms * 1_000_000).outcomes += 1
        for _, end_ms in wanted - named:
            self._round_at(end_ms * 1_000_000).lost_outcomes += 1
        for _, end_ms in named - wanted:
            self._round_at(end_ms * 1_000_000).twice += 1
        self._count_ids(told)
        if found.missing != sum(one.lost_outcomes for one in self.rounds):
            last.problems.append(f"outcomes do not add up: {found}")

    def _count_ids(self, told: list[Told]) -> None:
        """Count windows that have come under more than one id."""
        ids: dict[tuple[str, int], set[str]] = {}
        for each in told:
            ids.setdefault((each.source, each.end_ms), set()).add(each.id)
        for (_, end_ms), several in ids.items():
            self._round_at(end_ms * 1_000_000).twice += len(several) - 1
