"""The rendered configurations: nothing that an integrator writes can become configuration."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import HubSection, Settings, load_settings
from gateway.errors import ConfigError
from gateway.leaf.conf import encode, quote
from gateway.leaf.edge import USERS, EdgePorts, edge_table, leaf_url, render_edge
from gateway.leaf.handshake import connect_packet
from gateway.leaf.hub_config import render_hub_config
from gateway.leaf.login import read_login
from gateway.leaf.passwords import keep_passwords

PORTS = EdgePorts(client=15110, monitor=15118, mqtt=15111)
PASSWORDS = {user: f"pw-{user}" for user in USERS}


def settings(**tables: dict[str, Any]) -> Settings:
    tables = {"gateway": {"name": "gw-01", "state_dir": "/var/lib/weir"}} | tables
    return load_settings(None, **tables)


def unquote(text: str) -> str:
    """Read a quoted string as server/conf/lex.go does; fail where it would end early."""
    inner = re.fullmatch(r'"((?:[^"\\\x00-\x1f]|\\["\\]|\\x[0-9a-f]{2})*)"', text, re.DOTALL)
    assert inner, f"not one quoted string: {text!r}"
    raw = re.sub(
        r'\\(x[0-9a-f]{2}|["\\])',
        lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else m[1],
        inner[1],
    )
    return raw.encode("latin-1").decode("utf-8", "surrogateescape")


@given(st.text())
def test_quote_is_one_string_with_the_same_text_when_text_is_anything(text: str) -> None:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return  # a lone surrogate that no path or TOML file can hold
    assert unquote(quote(text)) == text


@given(st.text(alphabet='"\\\n\r{}[]#$;: ax', max_size=40))
def test_encode_keeps_one_line_for_each_value_when_text_would_end_it(text: str) -> None:
    lines = encode({"logfile": text, "port": 1}).splitlines()
    assert len(lines) == 2
    assert unquote(lines[0].removeprefix("logfile: ")) == text
    assert lines[1] == "port: 1"


def test_encode_refuses_when_a_key_is_no_name() -> None:
    with pytest.raises(ValueError, match="not a name"):
        encode({"port: 1\nlisten": 2})


def test_render_edge_holds_no_line_of_the_settings_own_when_they_try() -> None:
    evil = '/x"\naccounts { EVIL { users: [ { user: e, password: e } ] } }\n#'
    text = render_edge(
        settings(
            gateway={"name": "gw-01", "state_dir": evil},
            hub={
                "url": 'nats-leaf://u:p"\\}@hub/$X',
                "credentials_file": evil,
                "ca_file": evil,
            },
            mqtt={"host": evil},
        ),
        PORTS,
        PASSWORDS,
    )
    plain = render_edge(
        settings(
            hub={"url": "nats-leaf://u:p@hub/x", "credentials_file": "/c", "ca_file": "/c"},
        ),
        PORTS,
        PASSWORDS,
    )
    assert _skeleton(text) == _skeleton(plain)


def _skeleton(text: str) -> list[str]:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', text).splitlines()


def test_only_up_is_on_the_link_when_a_hub_is_set() -> None:
    table: Any = edge_table(settings(hub={"url": "tls://h"}), PORTS, PASSWORDS)
    assert [remote["account"] for remote in table["leafnodes"]["remotes"]] == ["UP"]
    remote = table["leafnodes"]["remotes"][0]
    assert "$JS.gw-01.API.>" in remote["deny_imports"]
    assert "$JS.ACK.OUTQ.>" in remote["deny_imports"]
    assert {"outq.>", "$MQTT.>"} <= set(remote["deny_exports"])
    assert remote["ignore_discovered_servers"] is True
    assert "exports" not in table["accounts"]["LOCAL"]
    assert "imports" not in table["accounts"]["UP"]


def test_no_link_when_no_hub_is_set() -> None:
    assert "leafnodes" not in edge_table(settings(), PORTS, PASSWORDS)


def test_no_mqtt_listener_and_no_store_for_it_when_devices_have_another_broker() -> None:
    ports = EdgePorts(client=1, monitor=2, mqtt=None)
    table: Any = edge_table(settings(mqtt={"broker": "mqtt://b"}), ports, PASSWORDS)
    assert "mqtt" not in table
    assert "jetstream" not in table["accounts"]["LOCAL"]


def test_accounts_fit_into_the_store_when_all_are_full() -> None:
    table: Any = edge_table(
        settings(leaf={"store_bytes": 8_000_000, "mqtt_store_bytes": 9_000_000}), PORTS, PASSWORDS
    )
    accounts = [table["accounts"][name]["jetstream"]["max_file"] for name in ("LOCAL", "UP")]
    assert sum(accounts) <= table["jetstream"]["max_file"]
    assert table["accounts"]["UP"]["jetstream"]["max_file"] > 8_000_000
    assert table["jetstream"]["sync_interval"] == "always"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats-leaf://hub", "nats://hub:7422"),
        ("nats-leaf://hub:7000", "nats://hub:7000"),
        ("nats://u:p%40x@hub", "nats://u:p%40x@hub:7422"),
        ("tls://hub.example", "tls://hub.example:7422"),
        ("wss://hub/leaf", "wss://hub:443/leaf"),
        ("nats-leaf://[::1]", "nats://[::1]:7422"),
        ("tls://u:a@b}@hub", "tls://u:a%40b%7D@hub:7422"),
    ],
)
def test_leaf_url_is_what_the_server_takes_when_scheme_and_port_are_short(
    url: str, expected: str
) -> None:
    assert leaf_url(HubSection(url=url).url) == expected


@pytest.mark.parametrize(
    "url", ["nats://", "nats://:7422", "nats://h:0x1", "tls://h:99999", "tls://u:100%@h"]
)
def test_leaf_url_is_refused_when_it_names_no_place(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[hub\] url"):
        leaf_url(url)


def test_render_edge_refuses_when_the_gateway_has_the_hubs_name() -> None:
    with pytest.raises(ConfigError, match="hub's own name"):
        render_edge(settings(gateway={"name": "hub"}), PORTS, PASSWORDS)


def test_hub_config_binds_each_gateway_to_its_own_name_when_there_are_two() -> None:
    text = _hub_config({"gw-01": "one", "gw-02": "two"})
    first = text[text.index('user: "gw-01"') : text.index('user: "gw-02"')]
    assert '"outcomes.gw-01.>"' in first
    assert '"_INBOX.gw-01.>"' in first
    assert "gw-02" not in first


@pytest.mark.parametrize("name", ["gw.01", "*", "gw 01", 'x"', ""])
def test_hub_config_is_refused_when_a_name_is_no_token(name: str) -> None:
    with pytest.raises(ValueError, match="not a gateway's name"):
        _hub_config({name: "pw"})


def _hub_config(gateways: dict[str, str]) -> str:
    return render_hub_config(gateways, {"admin": "a", "reader": "r", "sys": "s"})


def test_passwords_stay_and_are_private_when_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    first = keep_passwords(file, USERS)
    assert keep_passwords(file, USERS) == first
    assert len(set(first.values())) == len(USERS)
    assert all(len(password) >= 32 for password in first.values())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "not json", "[1]", '{"up": 7}'])
def test_passwords_are_new_when_their_file_is_broken(tmp_path: Path, content: str) -> None:
    file = tmp_path / "passwords.json"
    file.write_text(content)
    file.chmod(0o644)
    passwords = keep_passwords(file, USERS)
    assert set(passwords) == set(USERS)
    assert keep_passwords(file, USERS) == passwords
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_connect_packet_is_mqtt_3_1_1_when_made() -> None:
    assert connect_packet("c", "u", "pw") == (
        b"\x10\x14\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01c\x00\x01u\x00\x02pw"
    )


@pytest.mark.parametrize(
    ("url", "is_enforced"), [("tls://h", True), ("wss://h", True), ("nats://h", False)]
)
def test_the_link_is_encrypted_when_the_url_says_tls(url: str, *, is_enforced: bool) -> None:
    table: Any = edge_table(settings(hub={"url": url}), PORTS, PASSWORDS)
    assert ("tls" in table["leafnodes"]["remotes"][0]) == is_enforced


def test_the_login_of_a_file_stands_in_the_url_when_there_is_one() -> None:
    table: Any = edge_table(
        settings(hub={"url": "wss://h/x"}), PORTS, {**PASSWORDS, "hub": "shop:a%40b"}
    )
    assert table["leafnodes"]["remotes"][0]["url"] == "wss://shop:a%40b@h:443/x"


@pytest.mark.parametrize("content", ["", "a b", "u:p@host", "//h", "a:b:c"])
def test_a_login_file_is_refused_when_it_holds_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "login").write_text(content)
    hub = settings(hub={"url": "tls://h", "login_file": str(tmp_path / "login")}).hub
    with pytest.raises(ConfigError, match=r"hub\.login_file"):
        read_login(hub)
