"""The MQTT client: paho on a thread of its own.

MQTT 5 where the broker has it, else 3.1.1. The session is persistent and messages are
acknowledged by hand, so what was not acknowledged is sent again after a crash.
"""

import logging
import random
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.clock import BoxClock
from gateway.ingest.buffered import BufferedClient
from gateway.model import RawMessage

log = logging.getLogger(__name__)

_KEEPALIVE_S = 20
_SESSION_EXPIRY_S = 7 * 86400
_FIRST_WAIT_S, _MOST_WAIT_S = 0.1, 1.0  # one client, mostly of a broker on this machine
_STEADY_S = 10.0  # a connection that lasted so long is made anew with the shortest wait
_EPOCH_SHIFT = 16  # packet identifiers have 16 bits


@dataclass(frozen=True, slots=True)
class Broker:
    """Where and as whom to connect.

    Attributes:
        ca_file: Certificates to trust; "" for the system's.
        mqtt5: Try MQTT 5 first.
    """

    host: str
    port: int
    tls: bool = False
    username: str = ""
    password: str = ""
    ca_file: str = ""
    mqtt5: bool = True


def parse_broker(url: str, username: str, password: str, ca_file: str) -> Broker:
    """Return the broker that ``mqtt://host:1883`` or ``mqtts://host`` names."""
    parts = urlsplit(url)
    tls = parts.scheme == "mqtts"
    port = parts.port or (8883 if tls else 1883)
    return Broker(parts.hostname or "localhost", port, tls, username, password, ca_file)


class MqttSource:
    """Receives the devices' messages, and publishes outcomes for panels on site.

    Args:
        broker: The device broker.
        client_id: The session's name at the broker: the same after a restart.
        filters: Topic filters to subscribe to at QoS 1.
        own_root: Topics below this are our own copies of outcomes and are not taken in.
        receive_maximum: QoS >= 1 messages that the broker may send before an acknowledgement.
        put: Called on the client's thread for each message; False: it has ended.
        clock: The box's.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        filters: Sequence[str],
        own_root: str,
        receive_maximum: int,
        put: Callable[[RawMessage], bool | None],
        clock: BoxClock | None = None,
    ) -> None:
        self._clock = clock or BoxClock()
        self._broker = broker
        self._client_id = client_id
        self._filters = list(filters)
        self._own = own_root + "/"
        self._receive_maximum = receive_maximum
        self._put = put
        self._mqtt5 = broker.mqtt5
        self._epoch = 0
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="mqtt", daemon=True)
        self._client: paho.Client | None = None
        self._linked = False  # the broker hears us
        self._asked = -1  # the SUBSCRIBE that `connected` waits for
        self.connected = False  # and it has our filters: what devices say from now on comes
        self.connections = 0
        self.reason = "not connected yet"

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost."""
        self._thread.start()

    def stop(self, wait_s: float = 3.0) -> None:
        """Disconnect; the broker keeps the session. Blocks for at most ``wait_s``."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.disconnect()
        if self._thread.is_alive():
            self._thread.join(wait_s)

    def acknowledge(self, messages: Iterable[RawMessage]) -> None:
        """Acknowledge messages that are stored, or that never can be.

        Those that came over an earlier connection are left alone: the broker sends them again,
        under identifiers that may now mean other messages.
        """
        client = self._client
        if client is None or not self._linked:
            return
        for message in messages:
            if message.qos and message.message_id >> _EPOCH_SHIFT == self._epoch:
                client.ack(message.message_id & 0xFFFF, message.qos)

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0; nothing happens while the broker is away."""
        client = self._client
        if client is not None and self._linked:
            client.publish(topic, payload)

    @property
    def filters(self) -> list[str]:
        """Return the filters that are subscribed to."""
        return list(self._filters)

    def subscribe(self, filters: Sequence[str]) -> None:
        """Change the subscriptions to these filters; what both let through is never let go."""
        gone = [f for f in self._filters if f not in filters]
        new = [f for f in filters if f not in self._filters]
        self._filters = list(filters)
        client = self._client
        if client is not None and self._linked:
            self._subscribe(client, new)
            if gone:
                client.unsubscribe(gone)

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._client = client = self._new_client()  # an unusable ca_file ends here
                client.connect(
                    self._broker.host, self._broker.port, _KEEPALIVE_S, **self._session()
                )
                client.loop_forever(retry_first_connection=False)
            except (OSError, ValueError, ssl.SSLError) as exc:
                self.reason = f"{self._broker.host}:{self._broker.port}: {exc}"
            self._linked = self.connected = False
            if time.monotonic() - began > _STEADY_S:
                wait_s = _FIRST_WAIT_S
            self._stopping.wait(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            wait_s = min(1.5 * wait_s, _MOST_WAIT_S)

    def _new_client(self) -> paho.Client:
        protocol = MQTTProtocolVersion.MQTTv5 if self._mqtt5 else MQTTProtocolVersion.MQTTv311
        client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if self._mqtt5 else False,
            protocol=protocol,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls:
            client.tls_set(ca_certs=self._broker.ca_file or None)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _session(self) -> dict[str, Any]:
        if not self._mqtt5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        properties.ReceiveMaximum = self._receive_maximum
        return {"clean_start": False, "properties": properties}

    def _on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self.reason = f"{self._broker.host}:{self._broker.port} refused: {code}"
            if self._mqtt5 and code.value in {0x01, 0x84}:  # unsupported protocol version
                log.info("the broker has no MQTT 5, using 3.1.1")
                self._mqtt5 = False
            client.disconnect()
            return
        self._epoch += 1
        self.connections += 1
        self.reason = ""
        self._linked = True
        asked = self._subscribe(client, self._filters)
        if asked is None:
            self.connected = True
        else:
            self._asked = asked
        log.info("connected to %s:%s", self._broker.host, self._broker.port)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        _codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if mid == self._asked:
            self.connected = True

    def _subscribe(self, client: paho.Client, filters: Sequence[str]) -> int | None:
        """Subscribe, and return under which number; None for no filters."""
        if not filters:
            return None
        if self._mqtt5:
            options = SubscribeOptions(qos=1, noLocal=True)
            return client.subscribe([(f, options) for f in filters])[1]
        return client.subscribe([(f, 1) for f in filters])[1]

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._linked = self.connected = False
        if not self.reason and not self._stopping.is_set():
            self.reason = f"{self._broker.host}:{self._broker.port}: connection lost: {code}"
            log.warning(self.reason)

    def _on_message(
        self, client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no profile can claim it: it ends as a dead letter
            topic = "(topic is not UTF-8)"
        if topic.startswith(self._own):
            return
        received_ns, turn = self._clock.stamp()
        raw = RawMessage(
            topic,
            bytes(message.payload),
            received_ns,
            message.qos,
            bool(message.retain),
            bool(message.dup),
            (self._epoch << _EPOCH_SHIFT) | message.mid if message.qos else 0,
            turn,
        )
        if self._put(raw) is False and raw.qos:
            client.ack(message.mid, message.qos)
