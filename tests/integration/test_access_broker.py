"""Credentials, topics and certificates with a real Mosquitto and the shipped configuration."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.access import broker, credentials, packets
from gateway.access.authority import Authority
from gateway.access.register import Device
from gateway.doctor.logins import Logins, read
from tests.access_broker import HOSTS, Box, Client, box, wait


@pytest.fixture
def running(tmp_path: Path, mosquitto: str) -> Iterator[Box]:
    tmp_path.chmod(0o755)
    with box(tmp_path / "mqtt", mosquitto) as started:
        yield started


def test_hash_is_what_mosquitto_takes_when_a_device_connects(running: Box) -> None:
    password = running.add("plug-1")
    good = Client(running, "plug-1", password)
    wrong = Client(running, "plug-1", password + "x")
    assert (good.code, wrong.code) == ("Success", "Not authorized")
    good.close()
    wrong.close()


def test_gateway_hears_devices_and_they_only_themselves_when_all_subscribe_to_all(
    running: Box,
) -> None:
    one, two = running.add("plug-1"), running.add("plug-2", ("tele/plug-2/#",), ("cmnd/#",))
    gateway = Client(running, "weir-gateway", running.gateway_password)
    first, second = Client(running, "plug-1", one), Client(running, "plug-2", two)
    for each in (gateway, first, second):
        each.hear("#")
    assert first.say("tele/plug-1/SENSOR", b"21")
    first.say("tele/plug-2/SENSOR", b"wrong")
    gateway.say("outcomes/box/x", b"o")
    assert wait(lambda: gateway.got[-1:] == [("outcomes/box/x", b"o")])
    assert ("tele/plug-1/SENSOR", b"21") in gateway.got
    assert b"wrong" not in [payload for _, payload in (*gateway.got, *second.got)]
    assert first.got == [("tele/plug-1/SENSOR", b"21")]
    assert second.got == []
    for each in (gateway, first, second):
        each.close()


def test_others_stay_connected_when_a_device_is_added_revoked_or_rotated(running: Box) -> None:
    one, two = running.add("plug-1"), running.add("plug-2")
    first, second = Client(running, "plug-1", one), Client(running, "plug-2", two)
    running.add("plug-3")
    running.register.change(
        "plug-2", password=credentials.hashed("another-one"), key="", changed=""
    )
    running.reload()
    assert wait(lambda: second.ended)
    assert first.ended == 0
    again = Client(running, "plug-2", "another-one")
    running.register.remove("plug-2")
    running.reload()
    assert wait(lambda: again.ended)
    assert Client(running, "plug-2", "another-one").code == "Not authorized"
    assert first.ended == 0
    assert first.say("tele/plug-1/SENSOR")


def certificate(port: int, authority: Path) -> bytes:
    context = ssl.create_default_context(cafile=str(authority))
    with (
        socket.create_connection(("127.0.0.1", port), 3) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def test_new_certificate_is_served_and_connections_stay_when_it_is_renewed(running: Box) -> None:
    authority = Authority(running.folder)
    ca, port = authority.certificate_file, running.ports[8883]
    device = Client(running, "plug-1", running.add("plug-1"), ca=str(ca))
    assert device.code == "Success"
    before, key = certificate(port, ca), authority.tasmota_fingerprint()
    authority.renew(HOSTS)
    running.reload()
    after = certificate(port, ca)
    assert before != after
    assert authority.tasmota_fingerprint() == key
    assert device.ended == 0
    assert device.say("tele/plug-1/SENSOR")
    authority.renew(HOSTS, new_key=True)
    running.reload()
    assert certificate(port, ca) not in {before, after}
    assert authority.tasmota_fingerprint() != key
    assert device.ended == 0
    device.close()


class KeyClient:
    """A device with a pre-shared key, through openssl: Python's ssl before 3.13 has none."""

    def __init__(self, port: int, identity: str, key: str, *options: str) -> None:
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-quiet", "-tls1_2", "-connect", f"127.0.0.1:{port}",
             "-psk", key, "-psk_identity", identity, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.got = bytearray()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.say(packets.connect("whoever", "", ""))

    def _read(self) -> None:
        assert self.process.stdout
        while chunk := self.process.stdout.read1(1000):  # type: ignore[attr-defined] # BufferedReader
            self.got += chunk

    def say(self, packet: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(packet)
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.thread.join(3)


def test_device_with_a_key_comes_in_and_is_thrown_out_when_it_is_revoked(running: Box) -> None:
    key = credentials.new_key()
    running.register.add(Device("pump-1", "", ("sensors/pump-1/#",), key=key))
    running.reload()
    gateway = Client(running, "weir-gateway", running.gateway_password)
    gateway.hear("#")
    port = running.ports[8884]
    wrong = KeyClient(port, "pump-1", credentials.new_key())
    other = KeyClient(port, "pump-2", key)
    device = KeyClient(port, "pump-1", key)
    assert wait(lambda: device.got[:4] == packets.connack(4))
    device.say(packets.publish(4, "sensors/pump-1", b"7"))
    device.say(packets.publish(4, "sensors/pump-2", b"8"))
    device.say(packets.publish(4, "sensors/pump-1", b"9"))
    assert wait(lambda: len(gateway.got) == 2)
    assert [payload for _, payload in gateway.got] == [b"7", b"9"]
    assert not wrong.got
    assert not other.got
    once = credentials.new_password()
    running.register.change("pump-1", password=credentials.hashed(once), key="", changed="")
    assert broker.reload(running.folder)
    assert broker.take_over(running.plain, "pump-1", once)
    assert wait(lambda: not device.thread.is_alive())
    for each in (wrong, other, device):
        each.close()
    gateway.close()


def test_doctor_counts_what_this_mosquitto_refused(running: Box) -> None:
    running.add("plug-9")
    before = len((running.folder / "log").read_text().splitlines())
    for user, password in (("plug-9", "wrong"), ("stranger", "wrong"), ("", "")):
        assert Client(running, user, password).code == "Not authorized"
    known = Client(running, "plug-9", running.passwords["plug-9"])

    def found() -> Logins:
        lines = (running.folder / "log").read_text().splitlines()[before:]
        return read((f"100.5 box mosquitto[7]: {line}" for line in lines), 0.0)

    with closing(KeyClient(running.ports[8884], "nobody", credentials.new_key())):
        assert wait(lambda: found().tls)
    known.close()
    assert found().refused == {"127.0.0.1": 3}
    assert found().tls == {"an identity or key that is not known": 1}
    assert found().users == {"127.0.0.1": "plug-9"}
