"""A load of small JSON messages over MQTT, cheap enough to share two cores with what it loads.

A few plain sockets speak hand-encoded MQTT 3.1.1. Every message is ``sensors/<name>-<nnn>`` with
three readings and ``ts``, the moment of sending in Unix nanoseconds. Messages leave in bursts at
most `TICK_S` apart. Goes to loopback only, and stops by itself.

    python -m benchmarks.load --port 1883 --rate 10000 --devices 500 --seconds 20 --qos 1 --json
"""

import argparse
import dataclasses
import ipaddress
import json
import math
import random
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

TICK_S = 0.001
MAX_MESSAGES = 20_000_000
MAX_SECONDS = 600.0

_BACKLOG_BYTES = 1_000_000  # what a connection may owe the broker before it is given no more
_IN_FLIGHT = 60_000  # of 65,535 packet identifiers
_ACK_EVERY_S = 0.004
_CATCH_UP_S = 0.05  # longest stretch of the schedule that is made up for in one burst
_CONNECT_S = 5.0
_DRAIN_S = 10.0
_TAILS = 61  # different sets of values; prime, so that they wander over the devices
_PACKET_IDS = [struct.pack("!H", n) for n in range(65536)]


class LoadError(Exception):
    """The load cannot be made: a bad argument, or the broker refuses or hangs up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        host, port: The broker, on loopback.
        rate_hz: Messages per second, all devices together.
        devices: How many devices take turns.
        seconds: How long.
        qos: 0 or 1.
        connections: How many sockets the devices share; a device stays on one.
        sequence: The first reading is the device's running number, from 0.
        name: Begins the devices' names.
        garbage: What is sent cannot be decoded.
    """

    port: int
    host: str = "127.0.0.1"
    rate_hz: float = 1000.0
    devices: int = 500
    seconds: float = 10.0
    qos: int = 0
    connections: int = 4
    sequence: bool = False
    name: str = "bench"
    garbage: bool = False

    @property
    def messages(self) -> int:
        """Return how many messages there are to send."""
        return round(self.rate_hz * self.seconds)

    def check(self) -> None:
        """Raise LoadError for what must not or cannot be sent."""
        if not ipaddress.ip_address(socket.gethostbyname(self.host)).is_loopback:
            raise LoadError(f"--host {self.host}: only loopback is loaded")
        if not 0 < self.seconds <= MAX_SECONDS:
            raise LoadError(f"--seconds {self.seconds}: above 0, at most {MAX_SECONDS:.0f}")
        if not 1 <= self.messages <= MAX_MESSAGES:
            raise LoadError(f"{self.messages} messages: 1 to {MAX_MESSAGES} are allowed")
        if not (1 <= self.connections <= self.devices <= 100_000 and self.connections <= 64):
            raise LoadError("--devices 1 to 100000, --connections 1 to 64 and no more than devices")


@dataclass(slots=True)
class Report:
    """What was sent, and what it cost.

    Attributes:
        wanted, sent: Messages.
        acked: Messages that the broker acknowledged (QoS 1).
        seconds: From the first message to the last.
        rate_hz: Messages per second, over ``seconds``.
        late_ms_max: How far a burst was behind the schedule at worst.
        cpu_s, cpu_us_per_message: What this process used, user and system.
        first_ns, last_ns: ``ts`` of the first and the last message.
    """

    wanted: int
    sent: int = 0
    acked: int = 0
    seconds: float = 0.0
    rate_hz: float = 0.0
    late_ms_max: float = 0.0
    cpu_s: float = 0.0
    cpu_us_per_message: float = 0.0
    first_ns: int = 0
    last_ns: int = 0


class Connection:
    """One MQTT connection: a socket that is never waited for, and what it still owes."""

    def __init__(self, load: Load, client_id: str) -> None:
        self.parts: list[bytes] = []
        self.started = 0
        self.acked = 0
        self._owed = b""
        self._ack_rest = b""
        self._socket = socket.create_connection((load.host, load.port), _CONNECT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(connect_packet(client_id))
        answer = self._socket.recv(4)
        if answer != b"\x20\x02\x00\x00":
            raise LoadError(f"{load.host}:{load.port} refuses the connection: {answer.hex()}")
        self._socket.setblocking(False)

    @property
    def owes(self) -> bool:
        """Say whether something is not yet handed to the kernel."""
        return bool(self._owed)

    @property
    def full(self) -> bool:
        """Say whether it should be given no more for now."""
        return len(self._owed) > _BACKLOG_BYTES or self.started - self.acked > _IN_FLIGHT

    def flush(self) -> None:
        """Hand ``parts`` to the kernel, as much as it takes."""
        if self._owed:
            self.parts.insert(0, self._owed)
        data = b"".join(self.parts)
        self.parts.clear()
        try:
            taken = self._socket.send(data)
        except BlockingIOError:
            taken = 0
        self._owed = data[taken:]

    def read_acks(self) -> None:
        """Count the PUBACKs that have come in (each 4 bytes: 0x40, 2, packet identifier)."""
        try:
            data = self._socket.recv(262_144)
        except BlockingIOError:
            return
        if not data:
            raise LoadError("the broker closed the connection")
        data = self._ack_rest + data
        whole = len(data) // 4 * 4
        if data[:whole:4].count(0x40) != whole // 4:
            raise LoadError("the broker sent something else than PUBACKs")
        self.acked += whole // 4
        self._ack_rest = data[whole:]

    def close(self) -> None:
        """Say DISCONNECT and close; never raises."""
        try:
            self._socket.settimeout(1.0)
            self._socket.sendall(b"\xe0\x00")
        except OSError:
            pass  # it is closed already, which is what is wanted
        finally:
            self._socket.close()


class Messages:
    """Encodes PUBLISH packets of one length per device from parts made beforehand."""

    def __init__(self, load: Load) -> None:
        self._devices = load.devices
        self._sequence = load.sequence
        self._tails = [_tail(n, sequence=load.sequence) for n in range(_TAILS)]
        if load.garbage:
            self._tails = [tail.replace(b"}", b"]") for tail in self._tails]
        body_bytes = len(b'{"ts":') + 19 + len(self.tail(0))
        qos_bytes = 2 if load.qos else 0
        self._heads = []
        for device in range(load.devices):
            topic = f"sensors/{load.name}-{device:03d}".encode()
            rest = 2 + len(topic) + qos_bytes + body_bytes
            head = bytes([0x30 | load.qos << 1]) + length(rest) + struct.pack("!H", len(topic))
            self._heads.append(head + topic)

    def head(self, index: int) -> bytes:
        """Return message ``index`` up to its topic."""
        return self._heads[index % self._devices]

    def tail(self, index: int) -> bytes:
        """Return message ``index`` behind its time: the readings."""
        if self._sequence:
            return self._tails[index % _TAILS] % (index // self._devices)
        return self._tails[index % _TAILS]


def connect_packet(client_id: str) -> bytes:
    """Return a CONNECT of MQTT 3.1.1 (3.1): clean session, no keep-alive, no will, no login."""
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(name)) + name
    return b"\x10" + length(len(body)) + body


def run(load: Load) -> Report:
    """Send it all, evenly paced, and say what came of it.

    Raises:
        LoadError: The broker refuses, closes the connection or sends nonsense.
        OSError: There is no broker.
    """
    load.check()
    cpu_s = time.process_time()
    report = Report(wanted=load.messages)
    connections: list[Connection] = []
    try:
        run_id = f"{time.time_ns():x}"
        for n in range(load.connections):
            connections.append(Connection(load, f"weir-load-{run_id}-{n}"))
        _send_all(load, Messages(load), connections, report)
        _drain(load, connections, report)
    finally:
        for connection in connections:
            connection.close()
    report.cpu_s = round(time.process_time() - cpu_s, 3)
    report.cpu_us_per_message = round(report.cpu_s / max(1, report.sent) * 1e6, 2)
    return report


def _send_all(
    load: Load, messages: Messages, connections: list[Connection], report: Report
) -> None:
    """Send along the schedule; what the broker does not take in time is left out at the end."""
    start_s = time.monotonic()
    at_once = max(1, math.ceil(load.rate_hz * _CATCH_UP_S))
    acks_s = start_s
    elapsed_s = 0.0
    while report.sent < report.wanted and elapsed_s < load.seconds * 1.2 + 1.0:
        due = min(report.wanted, int(elapsed_s * load.rate_hz) + 1)
        late_ms = (elapsed_s - report.sent / load.rate_hz) * 1000
        report.late_ms_max = max(report.late_ms_max, round(late_ms, 2))
        if due > report.sent and not any(c.full for c in connections):
            _burst(load, messages, connections, report, min(due, report.sent + at_once))
        for connection in connections:
            if connection.parts or connection.owes:
                connection.flush()
        now_s = time.monotonic()
        if now_s - acks_s >= _ACK_EVERY_S:
            acks_s = now_s
            for connection in connections:
                connection.read_acks()
        report.seconds = round(now_s - start_s, 4)
        next_s = max(report.sent / load.rate_hz, elapsed_s + TICK_S)
        time.sleep(max(0.0, start_s + next_s - time.monotonic()))
        elapsed_s = time.monotonic() - start_s
    report.rate_hz = round(report.sent / max(report.seconds, 1 / load.rate_hz), 1)


def _burst(
    load: Load, messages: Messages, connections: list[Connection], report: Report, end: int
) -> None:
    """Encode messages ``report.sent`` to ``end`` for their connections, with one time for all."""
    now_ns = time.time_ns()
    stamp = b'{"ts":%d' % now_ns
    head, tail, sharing, devices = messages.head, messages.tail, len(connections), load.devices
    for index in range(report.sent, end):
        connection = connections[index % devices * sharing // devices]
        connection.started += 1
        if load.qos:
            packet_id = _PACKET_IDS[(connection.started - 1) % 65535 + 1]
            connection.parts += (head(index), packet_id, stamp, tail(index))
        else:
            connection.parts += (head(index), stamp, tail(index))
    report.first_ns = report.first_ns or now_ns
    report.last_ns = now_ns
    report.sent = end


def _drain(load: Load, connections: list[Connection], report: Report) -> None:
    """Hand over what is owed and, at QoS 1, wait for the acknowledgements; `_DRAIN_S` at most."""
    end_s = time.monotonic() + _DRAIN_S
    while time.monotonic() < end_s:
        for connection in connections:
            if connection.owes:
                connection.flush()
            connection.read_acks()
        report.acked = sum(c.acked for c in connections)
        if not any(c.owes for c in connections) and (not load.qos or report.acked >= report.sent):
            return
        time.sleep(0.002)


def _tail(number: int, *, sequence: bool) -> bytes:
    """Return three readings as they follow the time, always of one length."""
    rng = random.Random(number)  # noqa: S311 - values for a load
    first = f'"seq":{"%10d"}' if sequence else f'"temperature":{rng.gauss(48, 1):7.3f}'
    rest = f'"current":{rng.gauss(4, 0.05):6.3f},"vibration":{rng.gauss(1.8, 0.05):6.3f}'
    return f",{first},{rest}}}".encode()


def length(count: int) -> bytes:
    """Return MQTT's remaining length (2.2.3): seven bits a byte, the lowest first."""
    out = bytearray()
    while True:
        count, low = divmod(count, 128)
        out.append(low | (0x80 if count else 0))
        if not count:
            return bytes(out)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, send, print the report; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description="Load an MQTT broker on this machine."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000.0, help="messages per second")
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--qos", type=int, choices=(0, 1), default=0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--sequence", action="store_true", help="number each device's messages")
    parser.add_argument("--name", default="bench", help="begins the devices' names")
    parser.add_argument("--garbage", action="store_true", help="what cannot be decoded")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = vars(parser.parse_args(argv))
    as_json = options.pop("json")
    try:
        report = run(Load(rate_hz=options.pop("rate"), **options))
    except (LoadError, OSError) as exc:
        print(f"load: {exc}", file=sys.stderr)
        return 1
    _print(report, as_json=as_json)
    return 0 if report.sent == report.wanted else 3


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(dataclasses.asdict(report)))
        return
    print(
        f"{report.sent} of {report.wanted} messages in {report.seconds:.2f} s "
        f"({report.rate_hz:.0f}/s), {report.acked} acknowledged, at worst {report.late_ms_max} ms "
        f"late; {report.cpu_us_per_message} us of CPU each"
    )


if __name__ == "__main__":
    sys.exit(main())
