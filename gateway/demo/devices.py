"""Six devices of the demo plant, each a real MQTT client that speaks as its firmware does.

A device's clock is the plant's: what it sends bears the moment for which it was sampled, so two
reports never bear the same time because the machine was busy.
"""

import asyncio
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from gateway.demo import firmware
from gateway.demo.firmware import Message
from gateway.demo.plant import WAVEFORM_RATE_HZ, Plant
from gateway.topics import token

_log = logging.getLogger(__name__)

Say = Callable[[Plant, float, int], list[Message]]
"""What a device says: of the plant, at ``t_s`` of its time, which is ``time_ns`` of the world's."""

_QUEUED_MESSAGES = 100  # at QoS 1 while the broker is away; more are lost, as on a small device
_FLUSH_S = 1.0


class Device(NamedTuple):
    """A device of the plant.

    Attributes:
        name: As the gateway will call it.
        firmware: Whose dialect it speaks.
        period_s: Time between two reports.
        say: What it reports.
        birth: What it says when it has connected.
        will: What the broker says when it is gone.
    """

    name: str
    firmware: str
    period_s: float
    say: Say
    birth: Message | None = None
    will: Message | None = None


def plant_devices(zone: tzinfo = UTC) -> tuple[Device, ...]:
    """Return the devices of the plant; ``zone`` is the one whose time Tasmota tells."""
    motor, fan, node = "pump-1-motor", "shellyplus1pm-08b61f8c0d12", "pump-1-node"
    climate, tank, bearing = "pump-house/climate", "tank-1", "pump-1-bearing"
    return (
        Device(
            name=motor,
            firmware="Tasmota",
            period_s=1.0,  # its time has whole seconds: faster reports would look like repeats
            say=lambda plant, t_s, ns: firmware.tasmota_sensor(motor, plant.at(t_s), ns, zone),
            birth=firmware.tasmota_lwt(motor, online=True),
            will=firmware.tasmota_lwt(motor, online=False),
        ),
        Device(
            name=fan,
            firmware="Shelly Gen2",
            period_s=0.2,
            say=lambda plant, t_s, ns: firmware.shelly_status(fan, plant.at(t_s), ns),
            birth=firmware.shelly_online(fan, online=True),
            will=firmware.shelly_online(fan, online=False),
        ),
        Device(
            name=climate,
            firmware="Zigbee2MQTT",
            period_s=0.5,
            say=lambda plant, t_s, ns: firmware.zigbee2mqtt_climate(climate, plant.at(t_s), ns),
            birth=firmware.zigbee2mqtt_availability(climate, online=True),
            will=firmware.zigbee2mqtt_availability(climate, online=False),
        ),
        Device(
            name=node,
            firmware="ESPHome",
            period_s=0.2,
            say=lambda plant, t_s, _: firmware.esphome_sensors(node, plant.at(t_s)),
            birth=firmware.esphome_status(node, online=True),
            will=firmware.esphome_status(node, online=False),
        ),
        Device(
            name=tank,
            firmware="plain JSON",
            period_s=0.2,
            say=lambda plant, t_s, ns: firmware.plain_json(tank, plant.at(t_s), ns),
        ),
        Device(
            name=bearing,
            firmware="int16 waveform",
            period_s=0.1,
            say=lambda plant, t_s, ns: firmware.vibration_waveform(
                bearing, plant.waveform(t_s), WAVEFORM_RATE_HZ, ns
            ),
        ),
    )


def names() -> list[tuple[str, str]]:
    """Return (device, firmware) of each device, for the view."""
    return [(device.name, device.firmware) for device in plant_devices()]


def assets() -> list[dict[str, Any]]:
    """Return the ``[[assets]]`` that make the pump's devices one machine to the plugins."""
    of_pump = [name for name, _ in names() if name.startswith(("pump-1-", "shellyplus1pm-"))]
    return [{"name": "pump-1", "asset_class": "pump", "devices": of_pump}]


async def run_devices(
    host: str,
    port: int,
    plant: Plant,
    *,
    seconds: float | None = None,
    published: Counter[str] | None = None,
    zone: tzinfo = UTC,
) -> Counter[str]:
    """Let the plant's devices publish until ``seconds`` have passed, or until cancelled.

    A device whose broker is away reconnects by itself; what it says at QoS 0 meanwhile is lost.

    Args:
        host: The device broker's.
        port: The device broker's, plain MQTT.
        plant: What there is to measure; its time begins now.
        seconds: How long, or None.
        published: Counted up while they run: messages handed to the broker (at QoS 1:
            acknowledged by it) of each device, with what they say of themselves.
        zone: The site's, as the gateway's ``gateway.timezone`` has it.

    Returns:
        ``published``.
    """
    counts: Counter[str] = Counter() if published is None else published
    speakers = [_Speaker(device, counts) for device in plant_devices(zone)]
    try:
        for speaker in speakers:
            speaker.start(host, port)
        async with asyncio.TaskGroup() as group:
            for speaker in speakers:
                group.create_task(speaker.speak(plant, seconds))
    finally:
        await asyncio.gather(*(speaker.stop() for speaker in speakers))
    return counts


class _Speaker:
    """A device with its MQTT client; paho's thread connects, sends and connects again."""

    def __init__(self, device: Device, published: Counter[str]) -> None:
        self._device = device
        self._published = published
        self._published[device.name] += 0  # no key is added later, while others read
        self._last: MQTTMessageInfo | None = None
        self._closed = threading.Event()
        self._client = self._make_client()

    def start(self, host: str, port: int) -> None:
        self._client.connect_async(host, port, keepalive=20)
        self._client.loop_start()

    async def speak(self, plant: Plant, seconds: float | None) -> None:
        start_s, start_ns = time.monotonic(), time.time_ns()
        for n in itertools.count():
            t_s = n * self._device.period_s
            if seconds is not None and t_s >= seconds:
                return
            wait_s = start_s + t_s - time.monotonic()
            if wait_s < -self._device.period_s:
                continue  # the machine stood still: what was not sampled is not made up
            await asyncio.sleep(max(0.0, wait_s))
            for message in self._device.say(plant, t_s, start_ns + round(t_s * 1e9)):
                self._publish(message)

    async def stop(self) -> None:
        """Send what is under way, say goodbye (so the broker keeps the will), and close."""
        await _until(lambda: self._last is None or self._last.is_published())
        if self._client.disconnect() is MQTTErrorCode.MQTT_ERR_SUCCESS:
            closed = await _until(self._closed.is_set)
            if not closed:
                _log.warning("%s: the broker does not let go", self._device.name)
                return  # paho's thread is a daemon and ends at the keep-alive's end
        await asyncio.to_thread(self._client.loop_stop)

    def _make_client(self) -> Client:
        client_id = f"weir-demo-{token(self._device.name)}"
        client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv311
        )
        client.reconnect_delay_set(1, 5)
        client.max_queued_messages_set(_QUEUED_MESSAGES)
        if self._device.will is not None:
            client.will_set(**self._device.will._asdict())
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _publish(self, message: Message) -> None:
        info = self._client.publish(**message._asdict())
        if message.qos and info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._last = info

    def _on_connect(
        self, _client: Client, _data: object, _flags: object, reason: ReasonCode, _more: object
    ) -> None:
        if reason.is_failure:
            _log.warning("%s: the broker refuses: %s", self._device.name, reason)
            return
        self._closed.clear()
        if self._device.birth is not None:
            self._publish(self._device.birth)

    def _on_disconnect(self, *_: object) -> None:
        self._closed.set()

    def _on_publish(self, *_: object) -> None:
        self._published[self._device.name] += 1  # by this device's thread alone


async def _until(done: Callable[[], bool]) -> bool:
    """Wait until ``done()``, but no longer than `_FLUSH_S`; say whether it is."""
    end_s = time.monotonic() + _FLUSH_S
    while not done():
        if time.monotonic() > end_s:
            return False
        await asyncio.sleep(0.01)
    return True
