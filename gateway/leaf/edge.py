"""The configuration of the nats-server that a gateway runs. Pure: settings in, text out.

Two accounts. LOCAL: the devices and their raw data; nothing connects it to the outside. UP: the
outcomes; the only one that the leaf link to the hub is bound to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit

from gateway.config import HubSection, Settings
from gateway.errors import ConfigError
from gateway.leaf.conf import Table, Value, encode
from gateway.topics import OUTCOME_ROOT, OUTQ_STREAM

USERS = ("sys", "ingest", "device", "up")
HUB_DOMAIN = "hub"
PROBE_SUBJECT = "_weir.probe"
PROBE_STREAM = "WEIR_PROBE"
LOCAL_INBOX = "$WEIR.INBOX"
"""Answers in account LOCAL: with the ``$`` they are no topic that a subscription to ``#`` gets."""

MEGABYTE = 1_000_000
MAX_PAYLOAD_BYTES = 1_114_112
"""1 MiB and 64 KiB: nats-server counts the topic and its own headers in, and hangs up on a client
that sends more, so a limit of exactly 1 MB would cut off a device that sends 1 MB."""

UP_SPARE_BYTES = 16 * MEGABYTE  # besides the outgoing queue: the probe, small streams
_LOG_BYTES = 5 * MEGABYTE
_LEAF_PORT = 7422
_ENCRYPTED = ("tls", "wss")
_TLS_S = 10  # nats-server's own 2 s are short for a mobile link
_USERINFO = "%:!$&'()*+,;=~"  # what may stand in it unescaped, and escapes (RFC 3986, 3.2.1)

_CLOSED = ("$JS.>", "$JSC.>", "$NRG.>", "$SYS.>", "$SRV.>", "$KV.>", "$O.>", "$G.>", "$WEIR.>")
_REPLIES = ("_INBOX.>", "_R_.>", "_GR_.>")
# A device at QoS 1 listens on `$MQTT.sub.<nuid>`, at QoS 2 on `$MQTT.deliver.pubrel.<id>` too,
# with its own permissions; the server itself refuses a topic filter that begins so.
_MQTT_STORE = (
    "$MQTT.msgs.>",
    "$MQTT.rmsgs.>",
    "$MQTT.sess.>",
    "$MQTT.qos2.>",
    "$MQTT.out.>",
    "$MQTT.JSA.>",
)


@dataclass(frozen=True, slots=True)
class EdgePorts:
    """Where the server listens; ``mqtt`` is None when the devices have another broker."""

    client: int
    monitor: int
    mqtt: int | None


def render_edge(settings: Settings, ports: EdgePorts, passwords: Mapping[str, str]) -> str:
    """Return the configuration file of a gateway's nats-server.

    Args:
        settings: The gateway's configuration.
        ports: Already chosen.
        passwords: One for each of `USERS`, and the login at the hub as ``hub``, if there is one.

    Raises:
        ConfigError: The hub's url cannot be used, or the gateway is named as the hub is.
    """
    return encode(edge_table(settings, ports, passwords))


def edge_table(settings: Settings, ports: EdgePorts, passwords: Mapping[str, str]) -> Table:
    """Return the same as a table."""
    name = settings.gateway.name
    if name == HUB_DOMAIN:
        raise ConfigError([f'[gateway] name = "{name}": that is the hub\'s own name'])
    directory = leaf_dir(settings)
    table: dict[str, Value] = {
        "server_name": name,
        "listen": f"127.0.0.1:{ports.client}",
        "http": f"127.0.0.1:{ports.monitor}",
        "ping_interval": "20s",  # by default a dead link is noticed after four minutes
        "ping_max": 2,
        "max_payload": MAX_PAYLOAD_BYTES,
        "logfile": str(directory / "nats-server.log"),
        "logfile_size_limit": _LOG_BYTES,
        "logfile_max_num": 2,
        "jetstream": {
            "store_dir": str(directory),
            "domain": name,
            "sync_interval": "always",  # else a power cut takes the acknowledged outcomes of 2 min
            "max_file": up_bytes(settings) + settings.leaf.mqtt_store_bytes,
            "max_mem": 64 * MEGABYTE,
        },
        "accounts": _accounts(settings, passwords),
        "system_account": "SYS",
    }
    if ports.mqtt is not None:
        table["mqtt"] = {
            "host": settings.mqtt.host,
            "port": ports.mqtt,
            "no_auth_user": "device",
            "ack_wait": "10s",  # a gateway that was killed gets what it had in hand after this
            "max_ack_pending": settings.mqtt.receive_maximum,
        }
    if settings.hub.url:
        remote = _remote(settings.hub, name, passwords.get("hub", ""))
        table["leafnodes"] = {"reconnect": "2s", "remotes": [remote]}
    return table


def leaf_dir(settings: Settings) -> Path:
    """Return where the server keeps its store, configuration and log."""
    return settings.gateway.state_dir.absolute() / "leaf"


def up_bytes(settings: Settings) -> int:
    """Return what account UP may store, in bytes: the outgoing queue and a little more."""
    return settings.leaf.store_bytes + UP_SPARE_BYTES


def leaf_url(url: str) -> str:
    """Return a hub's url as nats-server takes it: scheme ``nats``, ``tls``, ``ws`` or ``wss``.

    ``nats-leaf`` is an alias of ``nats``; the port is 7422 unless said (443 and 80 over HTTP).

    Raises:
        ConfigError: It names no host, or no valid port.
    """
    parts = urlsplit(url)
    scheme = "nats" if parts.scheme == "nats-leaf" else parts.scheme
    default = {"wss": 443, "ws": 80}.get(scheme, _LEAF_PORT)
    try:
        port = parts.port or default
    except ValueError as exc:
        raise ConfigError([f"[hub] url: {exc}"]) from exc
    if not parts.hostname:
        raise ConfigError(["[hub] url: names no host; like nats-leaf://host:7422"])
    user, at, _ = parts.netloc.rpartition("@")
    if re.search("%(?![0-9A-Fa-f]{2})", user):
        raise ConfigError(["[hub] url: a % in the user or password is written %25"])
    user = quote(user, safe=_USERINFO)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return SplitResult(scheme, f"{user}{at}{host}:{port}", parts.path, parts.query, "").geturl()


def _accounts(settings: Settings, passwords: Mapping[str, str]) -> Table:
    local: dict[str, Value] = {
        "users": [
            {"user": "ingest", "password": passwords["ingest"]},
            {
                "user": "device",
                "password": passwords["device"],
                "permissions": device_permissions(),
                "allowed_connection_types": ["MQTT"],
            },
        ]
    }
    if settings.mqtt.broker == "embedded":  # the server keeps MQTT sessions in JetStream
        local["jetstream"] = {"max_file": settings.leaf.mqtt_store_bytes, "max_mem": 16 * MEGABYTE}
    return {
        "SYS": {"users": [{"user": "sys", "password": passwords["sys"]}]},
        "LOCAL": local,
        "UP": {
            "jetstream": {"max_file": up_bytes(settings), "max_mem": 16 * MEGABYTE},
            "users": [{"user": "up", "password": passwords["up"]}],
        },
    }


def device_permissions() -> Table:
    """Return what a client without credentials may do: everything but speak as the gateway.

    An ``allow`` is needed beside ``deny``: it makes the rest explicit, and a later list narrows it.
    """
    return {
        "publish": {
            "allow": [">"],
            "deny": [*_CLOSED, *_REPLIES, "$MQTT.>", "_weir.>", OUTCOME_ROOT, f"{OUTCOME_ROOT}.>"],
        },
        "subscribe": {"allow": [">"], "deny": [*_CLOSED, *_REPLIES, *_MQTT_STORE]},
    }


def _remote(hub: HubSection, domain: str, login: str) -> Table:
    url = leaf_url(_with_login(hub.url, login))
    remote: dict[str, Value] = {
        "url": url,
        "account": "UP",
        "ignore_discovered_servers": True,  # else it dials whatever address the hub gossips
        # The queue's deliveries, acknowledgements and advisories are this side's own: without the
        # denies a subscriber on everything at the hub would get each outcome twice.
        "deny_exports": [
            "outq.>",
            PROBE_SUBJECT,
            *(f"$JS.ACK.{stream}.>" for stream in (OUTQ_STREAM, PROBE_STREAM)),
            "$JS.EVENT.>",
            "_INBOX.>",
            "$MQTT.>",
            "$KV.>",
            "$O.>",
        ],
        # The hub may neither ask this side's JetStream, nor add to the queue, nor acknowledge
        # from it, which would delete an outcome.
        "deny_imports": [
            "outq.>",
            PROBE_SUBJECT,
            "$MQTT.>",
            f"$JS.{domain}.API.>",
            *(f"$JS.ACK.{stream}.>" for stream in (OUTQ_STREAM, PROBE_STREAM)),
            f"$JS.ACK.{domain}.>",  # the second form of acknowledgements, with the domain
        ],
    }
    if hub.credentials_file:
        remote["credentials"] = str(hub.credentials_file.absolute())
    tls: dict[str, Value] = {"timeout": _TLS_S}
    if hub.ca_file:
        tls["ca_file"] = str(hub.ca_file.absolute())
    if hub.ca_file or urlsplit(url).scheme in _ENCRYPTED:
        remote["tls"] = tls  # without this block tls:// goes on in the clear if the hub wants that
    return remote


def _with_login(url: str, login: str) -> str:
    if not login:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{login}@{host}").geturl()
