"""Devices at QoS 1 as good ones are: what is not acknowledged is kept and sent again.

They share a few plain sockets that are never waited for, so that a broker which is stopped, killed
or hangs holds up nobody here.
"""

import contextlib
import json
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from benchmarks.load import connect_packet, length

_TICK_S = 0.005
_RETRY_S = 0.1
_SILENT_S = 6.0
"""After this time without an acknowledgement that is due a device connects anew."""
_SESSIONS = 4
_PUBLISH_QOS1, _DUP = 0x32, 0x08


@dataclass(slots=True)
class Device:
    """One device.

    Attributes:
        sent_ns: When each reading was made, by its running number.
        acked_ns: When it was acknowledged, 0 while it is not.
    """

    name: str
    sent_ns: list[int] = field(default_factory=list)
    acked_ns: list[int] = field(default_factory=list)

    def say(self) -> bytes:
        """Return the next reading."""
        number, now_ns = len(self.sent_ns), time.time_ns()
        self.sent_ns.append(now_ns)
        self.acked_ns.append(0)
        content = {"ts": now_ns, "seq": number, "current": 4 + number % 7 / 10,
                   "vibration": 1.8 + number % 5 / 10, "temperature": 48.0}  # fmt: skip
        return json.dumps(content).encode()


@dataclass(frozen=True, slots=True)
class _Letter:
    device: Device
    number: int
    packet: bytes


class _Session:
    """A connection of some devices, and what it has not seen acknowledged."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._socket: socket.socket | None = None
        self._taken = False  # CONNACK came
        self._ids = 0
        self._owed = b""
        self._rest = b""
        self._try_at = self._heard_at = 0.0
        self.open: dict[int, _Letter] = {}

    def publish(self, device: Device) -> None:
        """Hand a device's next reading over; without a connection it waits here."""
        self._ids = self._ids % 65535 + 1
        body, topic = device.say(), f"sensors/{device.name}".encode()
        rest = struct.pack("!H", len(topic)) + topic + struct.pack("!H", self._ids) + body
        packet = length(len(rest)) + rest
        self.open[self._ids] = _Letter(device, len(device.sent_ns) - 1, packet)
        if self._taken:
            self._owed += bytes([_PUBLISH_QOS1]) + packet

    def work(self, address: tuple[str, int]) -> None:
        """Connect, read and write as far as that goes at once."""
        now = time.monotonic()
        try:
            if self._socket is None:
                if now < self._try_at:
                    return
                self._try_at = now + _RETRY_S
                self._connect(address, now)
            self._read(now)
            self._write()
            if (self.open or not self._taken) and now - self._heard_at > _SILENT_S:
                raise ConnectionError("silent")
            if not self.open:
                self._heard_at = now
        except OSError:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket:
            self._socket.close()
        self._socket, self._taken, self._owed, self._rest = None, False, b"", b""

    def _connect(self, address: tuple[str, int], now: float) -> None:
        self._socket = socket.create_connection(address, 1.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._owed = connect_packet(self._name)
        self._heard_at = now

    def _read(self, now: float) -> None:
        assert self._socket is not None
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionError("closed")
        data = self._rest + data
        whole = len(data) // 4 * 4  # a CONNACK and each PUBACK have four bytes
        for at in range(0, whole, 4):
            self._heard_at = now
            self._note(data[at : at + 4])
        self._rest = data[whole:]

    def _note(self, packet: bytes) -> None:
        if packet[0] == 0x20:
            if packet[3]:
                raise ConnectionError("refused")
            self._taken = True
            again = bytes([_PUBLISH_QOS1 | _DUP])
            self._owed += b"".join(again + letter.packet for letter in self.open.values())
        elif packet[0] == 0x40:
            letter = self.open.pop(int.from_bytes(packet[2:]), None)
            if letter:
                letter.device.acked_ns[letter.number] = time.time_ns()

    def _write(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            self._owed = self._owed[self._socket.send(self._owed) :] if self._owed else b""

    @property
    def socket(self) -> socket.socket | None:
        """Return what to wait for."""
        return self._socket


class Fleet:
    """Devices that take turns, on a thread of their own.

    Args:
        devices: How many.
        rate_hz: Readings per second, all together.
        prefix: Begins their names.
    """

    def __init__(self, devices: int, rate_hz: float, prefix: str = "dev") -> None:
        self.devices = [Device(f"{prefix}-{n:02d}") for n in range(devices)]
        self._sessions = [_Session(f"{prefix}-{n}") for n in range(_SESSIONS)]
        self._every_s = 1 / rate_hz
        self._speaking = False
        self._ended = False
        self._address = ("127.0.0.1", 0)
        self._turn = 0
        self._thread = threading.Thread(target=self._run, name="devices", daemon=True)

    def start(self, address: tuple[str, int]) -> None:
        """Connect to a broker; nobody speaks yet."""
        self._address = address
        self._thread.start()

    def move(self, address: tuple[str, int]) -> None:
        """Connect to another address from the next time on."""
        self._address = address

    def speak(self, *, on: bool = True) -> None:
        """Speak, or be silent; what was said is delivered either way."""
        self._speaking = on

    def close(self) -> None:
        """Hang up for good."""
        self._ended = True
        if self._thread.is_alive():
            self._thread.join(5)
        for session in self._sessions:
            session.close()

    @property
    def sent(self) -> int:
        """Return how many readings there were."""
        return sum(len(device.sent_ns) for device in self.devices)

    @property
    def open(self) -> int:
        """Return how many are not acknowledged."""
        return sum(len(session.open) for session in self._sessions)

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._ended:
            now = time.monotonic()
            if not self._speaking:
                next_s = now
            while self._speaking and next_s <= now:
                next_s += self._every_s
                device = self._turn % len(self.devices)
                self._sessions[device % len(self._sessions)].publish(self.devices[device])
                self._turn += 1
            for session in self._sessions:
                session.work(self._address)
            there = [s.socket for s in self._sessions if s.socket]
            select.select(there, [], [], _TICK_S)
            if not there:
                time.sleep(_TICK_S)
