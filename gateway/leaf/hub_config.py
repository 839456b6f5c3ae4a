"""The configuration of a hub: the try-out one, and the text of one for real. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.leaf.conf import Table, Value, encode
from gateway.leaf.edge import HUB_DOMAIN, MEGABYTE
from gateway.topics import HUB_STREAM, OUTCOME_ROOT, token

HUB_USERS = ("sys", "fleet")
_SPARE_BYTES = 64 * MEGABYTE  # besides the stream: MQTT sessions and consumers

BATCH_LIMITS: Table = {
    # nats-server's own 50 in flight a stream would be 50 gateways that catch up at once.
    "max_inflight_per_stream": 2000,
    "max_inflight_total": 5000,
    "max_msgs": 1000,
    "timeout": "10s",
}


@dataclass(frozen=True, slots=True)
class HubPorts:
    """Where the try-out hub listens."""

    client: int
    leaf: int
    mqtt: int
    monitor: int


def render_tryout(
    directory: Path,
    host: str,
    ports: HubPorts,
    passwords: Mapping[str, str],
    max_bytes: int,
    *,
    is_open: bool,
) -> str:
    """Return the configuration of a try-out hub: one account, one user.

    Args:
        directory: Of its store and log.
        host: The address to listen on (the monitoring port stays on the loopback).
        ports: Already chosen.
        passwords: One for each of `HUB_USERS`.
        max_bytes: What its stream may hold.
        is_open: Whoever reaches it may come in without a password: for the loopback only.
    """
    leafnodes: dict[str, Value] = {"host": host, "port": ports.leaf, "no_advertise": True}
    mqtt: dict[str, Value] = {"host": host, "port": ports.mqtt}
    table: dict[str, Value] = {
        "server_name": HUB_DOMAIN,
        "host": host,
        "port": ports.client,
        "http": f"127.0.0.1:{ports.monitor}",
        "ping_interval": "20s",
        "ping_max": 2,
        "logfile": str(directory / "nats-server.log"),
        "logfile_size_limit": 5 * MEGABYTE,
        "logfile_max_num": 2,
        "jetstream": {
            "store_dir": str(directory),
            "domain": HUB_DOMAIN,
            "sync_interval": "always",
            "max_file": max_bytes + _SPARE_BYTES,
            "max_mem": 64 * MEGABYTE,
            "limits": {"batch": BATCH_LIMITS},
        },
        "accounts": {
            "SYS": {"users": [{"user": "sys", "password": passwords["sys"]}]},
            "FLEET": {
                "jetstream": {"max_file": max_bytes + _SPARE_BYTES, "max_mem": 32 * MEGABYTE},
                "users": [{"user": "fleet", "password": passwords["fleet"]}],
            },
        },
        "system_account": "SYS",
        "leafnodes": leafnodes,
        "mqtt": mqtt,
    }
    if is_open:
        table["no_auth_user"] = mqtt["no_auth_user"] = "fleet"
        leafnodes["authorization"] = {"account": "FLEET"}
    return encode(table)


def render_hub_config(
    gateways: Mapping[str, str],
    passwords: Mapping[str, str],
    *,
    cert_file: str = "/etc/nats/tls/server.crt",
    key_file: str = "/etc/nats/tls/server.key",
    ca_file: str = "/etc/nats/tls/ca.crt",
    store_dir: str = "/var/lib/nats",
    max_bytes: int = 100_000 * MEGABYTE,
) -> str:
    """Return a commented configuration of a hub for real gateways, over TLS.

    Args:
        gateways: Name to password.
        passwords: Of ``admin``, who may do everything in the fleet's account, of ``reader``, who
            may read outcomes, over MQTT too, and of ``sys``, the server's own account.
        cert_file: The hub's certificate.
        key_file: Its key.
        ca_file: The authority that gateways know it by (``[hub] ca_file`` there).
        store_dir: Where the hub keeps outcomes.
        max_bytes: How many bytes of them.

    Raises:
        ValueError: A gateway's name is not one token (letters, digits, ``-``, ``_``).
    """
    wrong = [name for name in gateways if name != token(name)]
    if wrong:
        raise ValueError(f"not a gateway's name: {wrong[0]!r}")
    tls: Table = {"cert_file": cert_file, "key_file": key_file, "ca_file": ca_file}
    fleet: list[Value] = [
        {"user": "admin", "password": passwords["admin"]},
        {"user": "reader", "password": passwords["reader"], "permissions": _reader()},
        *(gateway_user(name, password) for name, password in gateways.items()),
    ]
    parts = [
        _HEAD.format(gateway=next(iter(gateways), "gw-01"), stream_json=stream_json(max_bytes))
    ]
    parts.append(
        encode({"server_name": HUB_DOMAIN, "listen": "0.0.0.0:4222", "http": "127.0.0.1:8222"})
    )
    parts.append(encode({"tls": tls}))
    parts.append("\n# A dead link is noticed in about a minute.\n")
    parts.append(encode({"ping_interval": "20s", "ping_max": 2}))
    parts.append(_STORE)
    parts.append(encode({"jetstream": _jetstream(store_dir)}))
    parts.append(_ACCOUNTS)
    accounts: Table = {
        "SYS": {"users": [{"user": "sys", "password": passwords["sys"]}]},
        "FLEET": {"jetstream": "enabled", "users": fleet},
    }
    parts.append(encode({"accounts": accounts, "system_account": "SYS"}))
    parts.append(_LEAFNODES)
    parts.append(
        encode(
            {
                "leafnodes": {
                    "listen": "0.0.0.0:7422",
                    "no_advertise": True,
                    "compression": "s2_auto",
                    "tls": tls,
                },
                "websocket": {"listen": "0.0.0.0:8443", "tls": tls},
                "mqtt": {"listen": "0.0.0.0:8883", "tls": tls},
            }
        )
    )
    return "".join(parts)


def gateway_user(name: str, password: str) -> Table:
    """Return the user of one gateway at the hub: it speaks as itself and hears its own replies.

    ``publish`` is what the leaf may send here, ``subscribe`` what it may be sent: answers to its
    own publishes, and outcomes of peers.
    """
    return {
        "user": name,
        "password": password,
        "allowed_connection_types": ["LEAFNODE", "LEAFNODE_WS"],
        "permissions": {
            "publish": {"allow": [f"{OUTCOME_ROOT}.{name}.>"]},
            "subscribe": {"allow": [f"_INBOX.{name}.>", f"{OUTCOME_ROOT}.>"]},
        },
    }


def stream_json(max_bytes: int) -> str:
    """Return the request that makes the hub's stream, as JSON of the JetStream API."""
    return json.dumps(
        {
            "name": HUB_STREAM,
            "subjects": [f"{OUTCOME_ROOT}.>"],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_bytes": max_bytes,
            "duplicate_window": 120_000_000_000,
            "allow_direct": True,
            "allow_atomic": True,
            "num_replicas": 1,
        },
        separators=(",", ":"),
    )


def _reader() -> Table:
    return {
        "publish": {"deny": [">"]},
        "subscribe": {"allow": [f"{OUTCOME_ROOT}.>", "_INBOX.>", "$MQTT.sub.>"]},
    }


def _jetstream(store_dir: str) -> Table:
    return {
        "store_dir": store_dir,
        "domain": HUB_DOMAIN,
        "sync_interval": "always",
        "limits": {"batch": BATCH_LIMITS},
    }


_HEAD = """\
# A hub for Weir gateways: nats-server >= 2.14.4.   nats-server -c hub.conf
#
# At each gateway, in gateway.toml:
#   [hub]
#   url = "tls://{gateway}:PASSWORD@this-host:7422"
#   ca_file = "/etc/weir/ca.crt"
#
# Make the stream once, before the first gateway connects:
#   nats --server tls://admin:PASSWORD@this-host:4222 request '$JS.API.STREAM.CREATE.OUTCOMES' \\
#     '{stream_json}'
# `allow_atomic` is what lets a gateway's backlog arrive whole and in order; the duplicate window
# is how long a repeated outcome is recognised here (its id stays the same: upsert by it).
# On a cluster of three: the same file on each with a `cluster` block, and "num_replicas":3.

"""
_STORE = """
# `sync_interval: always`: what was acknowledged to a gateway, which then forgets it, survives a
# power cut. `max_inflight_per_stream`: how many gateways may catch up at the same moment.
"""
_ACCOUNTS = f"""
# Each gateway publishes under its own name only, and hears replies to itself and its peers'
# outcomes. A new one: add its user here, then `nats-server --signal reload`.
# `reader` sees every outcome and can publish nothing; over MQTT the topics are {OUTCOME_ROOT}/#.
"""
_LEAFNODES = """
# 7422: gateways over TLS. 8443: gateways behind a proxy (url = "wss://...:8443").
# 8883: MQTT over TLS for readers.
"""
