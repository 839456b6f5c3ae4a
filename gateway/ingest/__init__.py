"""MQTT messages into `RawMessage`s: bounded, and acknowledged only when told."""

from gateway.ingest.gate import Gate, Turnstile
from gateway.ingest.inbox import Inbox
from gateway.ingest.mqtt import Broker, MqttSource, parse_broker

__all__ = ["Broker", "Gate", "Inbox", "MqttSource", "Turnstile", "parse_broker"]
