"""A device that nobody knows, at the pairing door and then at a real Mosquitto."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.access import broker
from gateway.access.register import Register
from tests.access_broker import Client, box, free_port, listens, wait

ROOT = Path(__file__).parents[2]


class Pairing:
    """`weir pair` in a process of its own."""

    def __init__(
        self, state: Path, *options: str, minutes: float = 0.5, stdin: int = subprocess.DEVNULL
    ) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "pair", "--port", str(self.port), "--listen",
             "127.0.0.1", "--minutes", str(minutes), "--state-dir", str(state), "--host", "box",
             *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin, text=True,
            cwd=ROOT, env={**os.environ, "COLUMNS": "300"},
        )  # fmt: skip
        assert wait(lambda: listens(self.port), 40), self.process.communicate()

    def end(self, limit_s: float = 40.0) -> tuple[int, str, str]:
        said, complained = self.process.communicate(timeout=limit_s)
        return self.process.returncode, said, complained


class Plug:
    """A device with a firmware's topics and no password."""

    def __init__(
        self, port: int, client_id: str, hears: str, login: tuple[str, str] = ("", "")
    ) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311
        )
        if login[0]:
            self.client.username_pw_set(*login)
        self.client.on_message = lambda _c, _u, m: self.got.append((m.topic, bytes(m.payload)))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert wait(self.client.is_connected)
        self.client.subscribe(hears, 1)

    def say(self, topic: str, payload: str) -> None:
        self.client.publish(topic, payload, 1).wait_for_publish(3)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_tasmota_is_sent_its_settings_and_comes_in_with_them_when_it_is_accepted(
    tmp_path: Path, mosquitto: str
) -> None:
    with box(tmp_path / "mqtt", mosquitto) as running:
        pairing = Pairing(tmp_path, "--yes", "plug-9", "--json")
        plug = Plug(pairing.port, "DVES_123456", "cmnd/plug-9/#")
        plug.say("tele/plug-9/SENSOR", '{"Time":"2026-01-01T00:00:00","ENERGY":{"Power":12}}')
        code, said, complained = pairing.end()
        assert code == 0, complained
        [accepted] = json.loads(said)
        assert accepted["sent"]
        assert accepted["profile"] == "tasmota"
        assert wait(lambda: plug.got)
        plug.close()
        [(topic, payload)] = plug.got
        assert topic == "cmnd/plug-9/Backlog"
        settings = dict(each.split(" ", 1) for each in payload.decode().split("; "))
        assert settings["MqttHost"] == "box"
        assert settings["MqttPort"] == "1883"
        device = Client(running, settings["MqttUser"], settings["MqttPassword"])
        assert device.code == "Success"
        assert device.say("tele/plug-9/SENSOR")
        device.close()


def test_device_keeps_what_it_brings_when_the_operator_says_so(
    tmp_path: Path, mosquitto: str
) -> None:
    with box(tmp_path / "mqtt", mosquitto) as running:
        pairing = Pairing(tmp_path, "--yes", "plug-7", "--keep", "--json")
        plug = Plug(pairing.port, "any", "x/#", ("kitchen", "long-enough-9"))
        plug.say("tele/plug-7/STATE", '{"Wifi":{"RSSI":70}}')
        code, _, complained = pairing.end()
        assert code == 0, complained
        plug.close()
        device = Client(running, "kitchen", "long-enough-9")
        assert device.code == "Success"
        device.close()
        assert running.register.devices()["kitchen"].own[0] == "cmnd/plug-7/#"
        assert broker.running(running.folder)


def test_nobody_is_let_in_when_nobody_is_accepted(tmp_path: Path) -> None:
    pairing = Pairing(tmp_path, minutes=0.07)
    plug = Plug(pairing.port, "plug-1", "cmnd/plug-1/#")
    plug.say("tele/plug-1/STATE\x1b[2J", "{}")
    code, said, _ = pairing.end()
    plug.close()
    assert code == 0
    assert "plug-1" in said
    assert "\x1b[2J" not in said
    assert not (tmp_path / "mqtt" / "devices.json").exists()
    assert not listens(pairing.port)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_door_is_closed_when_the_command_dies(tmp_path: Path, number: signal.Signals) -> None:
    pairing = Pairing(tmp_path, minutes=1)
    plug = Plug(pairing.port, "plug-1", "x")
    pairing.process.send_signal(number)
    pairing.end()
    assert not listens(pairing.port)
    plug.close()


def test_exit_code_tells_when_a_wanted_device_did_not_come(tmp_path: Path) -> None:
    began = time.monotonic()
    code, _, complained = Pairing(tmp_path, "--yes", "nobody", minutes=0.03).end()
    assert code == 1
    assert "did not come: nobody" in complained
    assert time.monotonic() - began < 20


def test_device_is_let_in_under_another_name_when_the_operator_types_it(tmp_path: Path) -> None:
    terminal, stdin = os.openpty()
    pairing = Pairing(tmp_path, minutes=0.12, stdin=stdin)
    plug = Plug(pairing.port, "shellyplus1-a0b1", "shellyplus1-a0b1/rpc")
    plug.say("shellyplus1-a0b1/status/switch:0", '{"id":0,"output":true,"apower":3.5}')
    os.write(terminal, b"pump-switch\n")
    code, said, complained = pairing.end()
    plug.close()
    os.close(terminal)
    os.close(stdin)
    assert code == 0, complained
    assert "let it in as shellyplus1-a0b1?" in said + complained
    config, reboot = (json.loads(payload) for _, payload in plug.got)
    assert config["method"] == "Mqtt.SetConfig"
    assert config["params"]["config"]["topic_prefix"] == "pump-switch"
    assert reboot["method"] == "Shelly.Reboot"
    assert Register(tmp_path / "mqtt").device("pump-switch").own == ("pump-switch/#",)
