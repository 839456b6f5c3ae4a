"""What to enter into a device, in the words of its firmware."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

PLAIN_PORT, TLS_PORT, KEY_PORT = 1883, 8883, 8884


@dataclass(frozen=True, slots=True)
class Entry:
    """What a device needs to come in.

    Attributes:
        host: The box.
        user: Its user.
        password: Its password.
        topic: Its name in its topics.
        fingerprint: Of the broker's key, as Tasmota has it; "" when there is no certificate.
    """

    host: str
    user: str
    password: str
    topic: str
    fingerprint: str = ""


def lines(profile: str, entry: Entry) -> str:
    """Return the settings for a firmware, ready to be pasted."""
    return _FIRMWARE.get(profile, _generic)(entry)


def backlog(entry: Entry) -> str:
    """Return the settings as Tasmota's command ``Backlog`` takes them."""
    return (
        f"MqttHost {entry.host}; MqttPort {PLAIN_PORT}; MqttUser {entry.user}; "
        f"MqttPassword {entry.password}; Topic {entry.topic}"
    )


def shelly_config(entry: Entry) -> dict[str, object]:
    """Return the settings as ``Mqtt.SetConfig`` of Shelly's second generation takes them."""
    return {
        "enable": True,
        "server": f"{entry.host}:{PLAIN_PORT}",
        "user": entry.user,
        "pass": entry.password,
        "topic_prefix": entry.topic,
        "rpc_ntf": True,
        "status_ntf": True,
    }


def _tasmota(entry: Entry) -> str:
    said = f"""\
Tasmota, in its console (FullTopic stays %prefix%/%topic%/):
  Backlog {backlog(entry)}"""
    if entry.fingerprint:
        said += f"""
and to have it encrypted, where the build has TLS (tasmota32):
  Backlog SetOption132 1; SetOption103 1; MqttPort {TLS_PORT}; \
MqttFingerprint1 {entry.fingerprint}"""
    return said


def _esphome(entry: Entry) -> str:
    return f"""\
ESPHome, in the device's YAML:
  mqtt:
    broker: {entry.host}
    port: {PLAIN_PORT}
    username: {entry.user}
    password: "{entry.password}"
    topic_prefix: {entry.topic}
    discovery: false
encrypted, on ESP32: port: {TLS_PORT}, certificate_authority: what `weir device ca` prints"""


def _shelly_gen1(entry: Entry) -> str:
    return f"""\
Shelly (first generation), from any computer; SHELLY is its address:
  curl http://SHELLY/settings -d @- <<'END'
  mqtt_enable=true&mqtt_server={entry.host}:{PLAIN_PORT}&mqtt_user={entry.user}\
&mqtt_pass={entry.password}&mqtt_id={entry.topic}
  END
  curl http://SHELLY/reboot"""


def _shelly_gen2(entry: Entry) -> str:
    config = orjson.dumps({"config": shelly_config(entry)}).decode()
    return f"""\
Shelly (Plus, Pro, Gen2 and later), from any computer; SHELLY is its address:
  curl http://SHELLY/rpc/Mqtt.SetConfig -d @- <<'END'
  {config}
  END
  curl http://SHELLY/rpc/Shelly.Reboot
encrypted: the authority by Shelly.PutUserCA, then "ssl_ca": "user_ca.pem" and port {TLS_PORT}"""


def _zigbee2mqtt(entry: Entry) -> str:
    return f"""\
Zigbee2MQTT, in configuration.yaml:
  mqtt:
    base_topic: zigbee2mqtt
    server: mqtt://{entry.host}:{PLAIN_PORT}
    user: {entry.user}
    password: "{entry.password}"
  advanced:
    last_seen: ISO_8601
encrypted: server: mqtts://{entry.host}:{TLS_PORT}, ca: FILE, with what `weir device ca` prints"""


def _generic(entry: Entry) -> str:
    return f"""\
in the device:
  server    {entry.host}, port {PLAIN_PORT}; encrypted {TLS_PORT}, trusting `weir device ca`
  user      {entry.user}
  password  {entry.password}
  client id whatever it likes: to the broker it is {entry.user}"""


def key_lines(host: str, identity: str, key: str) -> str:
    """Return the settings of a device with a pre-shared key."""
    return f"""\
in the device:
  server    {host}, port {KEY_PORT}: TLS 1.2 with a pre-shared key (PSK-AES128-GCM-SHA256, say)
  identity  {identity}
  key       {key}   (hexadecimal)
  user and password stay empty"""


_FIRMWARE: dict[str, Callable[[Entry], str]] = {
    "tasmota": _tasmota,
    "esphome": _esphome,
    "shelly-gen1": _shelly_gen1,
    "shelly-gen2": _shelly_gen2,
    "zigbee2mqtt": _zigbee2mqtt,
}
