"""Hubs that are tried before they are joined: real nats-servers that let in, or do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config import Settings, load_settings
from gateway.joining.login import Invitation
from gateway.joining.trial import try_hub
from gateway.leaf import streams
from gateway.leaf.hub import Hub, HubOptions
from gateway.leaf.ports import Wanted, choose_ports
from gateway.leaf.server import NatsServer
from tests.nats_credentials import operator_mode

_HUB = """
server_name: hub
listen: "127.0.0.1:{client}"
http: "127.0.0.1:{monitor}"
logfile: "{folder}/nats-server.log"
jetstream {{ store_dir: "{folder}", domain: hub }}
accounts {{ FLEET {{ jetstream: enabled, users: [
  {{ user: admin, password: a }}
  {{ user: shop-01, password: "p@w", permissions: {{
     publish: {{ allow: ["outcomes.shop-01.>"] }}
     subscribe: {{ allow: ["_INBOX.shop-01.>", "outcomes.>"] }} }} }}
] }} }}
leafnodes {{ listen: "127.0.0.1:{leaf}", no_advertise: true }}
websocket {{ listen: "127.0.0.1:{web}", no_tls: true }}
"""


def gateway(name: str, tmp_path: Path) -> Settings:
    return load_settings(None, gateway={"name": name, "state_dir": str(tmp_path / "gw")})


@asynccontextmanager
async def private_hub(folder: Path, *, with_stream: bool = True) -> AsyncIterator[dict[str, int]]:
    folder.mkdir()  # noqa: ASYNC240 - a test's own
    wanted = {name: Wanted("127.0.0.1") for name in ("client", "monitor", "leaf", "web")}
    ports = choose_ports(folder / "ports.json", wanted)
    server = NatsServer(folder, ports["monitor"])
    await server.start(_HUB.format(folder=folder, **ports))
    try:
        if with_stream:
            url = f"nats://admin:a@127.0.0.1:{ports['client']}"
            await streams.ensure_outcomes(url, 10_000_000)
        yield ports
    finally:
        await server.stop()


async def test_a_hub_takes_the_link_and_nothing_is_stored_there_when_it_is_tried(
    tmp_path: Path,
) -> None:
    hub = Hub(HubOptions(tmp_path / "hub", client_port=0, leaf_port=0, mqtt_port=0))
    await hub.start()
    try:
        trial = await try_hub(gateway("gw-01", tmp_path), Invitation(hub.leaf_url))
        assert (trial.linked, trial.takes_outcomes, trial.reason) == (True, True, "")
        assert await hub.count() == 0
        async with asyncio.timeout(5):
            while await hub.links():  # noqa: ASYNC110 - asked over HTTP
                await asyncio.sleep(0.05)
    finally:
        await hub.stop()
    assert not (tmp_path / "gw").exists(), "nothing of the gateway is touched"


@pytest.mark.parametrize("scheme", ["nats-leaf", "ws"])
async def test_the_login_counts_when_the_hub_asks_for_one(tmp_path: Path, scheme: str) -> None:
    settings = gateway("shop-01", tmp_path)
    async with private_hub(tmp_path / "hub") as ports:
        url = f"{scheme}://127.0.0.1:{ports['leaf' if scheme == 'nats-leaf' else 'web']}"
        trial = await try_hub(settings, Invitation(url, "shop-01:p%40w"))
        assert (trial.linked, trial.takes_outcomes) == (True, True)
        trial = await try_hub(settings, Invitation(url, "shop-01:wrong"))
        assert not trial.linked
        assert "does not let this gateway in" in trial.reason


async def test_signed_credentials_count_when_the_hub_knows_users_by_them_alone(
    tmp_path: Path,
) -> None:
    lines, content = operator_mode(tmp_path)
    creds = tmp_path / "given.creds"
    creds.write_text(content)
    folder = tmp_path / "hub"
    folder.mkdir()
    wanted = {name: Wanted("127.0.0.1") for name in ("client", "monitor", "leaf")}
    ports = choose_ports(folder / "ports.json", wanted)
    server = NatsServer(folder, ports["monitor"])
    await server.start(
        f'listen: "127.0.0.1:{ports["client"]}"\nhttp: "127.0.0.1:{ports["monitor"]}"\n{lines}'
        f'leafnodes {{ listen: "127.0.0.1:{ports["leaf"]}" }}\n'
    )
    url, settings = f"nats://127.0.0.1:{ports['leaf']}", gateway("gw-01", tmp_path)
    try:
        assert (await try_hub(settings, Invitation(url, creds=creds))).linked
        refused = await try_hub(settings, Invitation(url))
    finally:
        await server.stop()
    assert not refused.linked
    assert "does not let this gateway in" in refused.reason


async def test_it_is_told_when_credentials_are_damaged(tmp_path: Path) -> None:
    creds = tmp_path / "given.creds"
    creds.write_text("-----BEGIN NATS USER JWT-----\neyJ0\n-----BEGIN USER NKEY SEED-----\nSUA\n")
    hub = Hub(HubOptions(tmp_path / "hub", client_port=0, leaf_port=0, mqtt_port=0))
    await hub.start()
    try:
        trial = await try_hub(gateway("gw-01", tmp_path), Invitation(hub.leaf_url, creds=creds))
    finally:
        await hub.stop()
    assert not trial.linked
    assert "credentials file cannot be used" in trial.reason


async def test_it_is_told_when_the_hub_lets_another_name_publish_only(tmp_path: Path) -> None:
    async with private_hub(tmp_path / "hub") as ports:
        url = f"nats-leaf://127.0.0.1:{ports['leaf']}"
        trial = await try_hub(gateway("shop-02", tmp_path), Invitation(url, "shop-01:p%40w"))
    assert (trial.linked, trial.takes_outcomes) == (True, False)
    assert trial.outcomes_reason


async def test_it_is_told_when_the_hub_has_no_stream(tmp_path: Path) -> None:
    async with private_hub(tmp_path / "hub", with_stream=False) as ports:
        url = f"nats-leaf://127.0.0.1:{ports['leaf']}"
        trial = await try_hub(gateway("shop-01", tmp_path), Invitation(url, "shop-01:p%40w"))
    assert (trial.linked, trial.takes_outcomes) == (True, False)
    assert "no stream" in trial.outcomes_reason


@pytest.mark.parametrize(
    ("scheme", "port", "words"),
    [("nats", "client", "usually 7422"), ("tls", "leaf", "does not speak TLS")],
)
async def test_the_login_is_not_sent_when_something_else_answers(
    tmp_path: Path, scheme: str, port: str, words: str
) -> None:
    async with private_hub(tmp_path / "hub") as ports:
        url = f"{scheme}://127.0.0.1:{ports[port]}"
        trial = await try_hub(gateway("shop-01", tmp_path), Invitation(url, "shop-01:p%40w"))
    assert not trial.linked
    assert words in trial.reason


async def test_it_is_told_when_nothing_answers(tmp_path: Path) -> None:
    trial = await try_hub(gateway("gw-01", tmp_path), Invitation("nats://127.0.0.1:1"))
    assert "nothing listens there" in trial.reason
