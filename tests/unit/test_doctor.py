"""What the doctor makes of what it finds."""

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config import load_settings
from gateway.doctor import examination
from gateway.doctor.clock import set_back, taken, wrong
from gateway.doctor.devices import crowded, noisy, silent
from gateway.doctor.disk import bound_bytes, disk, inodes, space
from gateway.doctor.examination import configuration, examine, look_at
from gateway.doctor.files import certificates, expiry, secrets, state
from gateway.doctor.finding import Box, Finding
from gateway.doctor.logins import Logins, read, told
from gateway.doctor.machine import limits, misfit
from gateway.doctor.ports import Listener, judge
from gateway.doctor.running import linked, reached, unread
from gateway.doctor.units import condition, errors

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MB = 1_000_000


def box(tmp_path: Path) -> Box:
    return Box(load_settings(None, gateway={"state_dir": str(tmp_path / "state")}))


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (wrong(datetime(1970, 1, 2, tzinfo=UTC).timestamp()), "fail"),
        (wrong(datetime(2027, 1, 2, tzinfo=UTC).timestamp()), "ok"),
        (space(100 * MB, 0, 0), "fail"),
        (space(1000 * MB, 5000 * MB, 3000 * MB), "warn"),
        (space(2000 * MB, 5000 * MB, 3000 * MB), "ok"),
        (space(300 * MB, 1000 * MB, 3000 * MB), "ok"),
        (inodes(0.01), "fail"),
        (inodes(0.5), "ok"),
        (expiry("it", datetime(2026, 5, 31, tzinfo=UTC), NOW), "fail"),
        (expiry("it", datetime(2026, 6, 20, tzinfo=UTC), NOW), "warn"),
        (expiry("it", datetime(2027, 1, 1, tzinfo=UTC), NOW), "ok"),
        (limits(["cpu", "io", "pids"]), "warn"),
        (limits(["cpu", "memory"]), "ok"),
        (reached("tls://h", "refused"), "fail"),
        (reached("tls://h", ""), "ok"),
        (unread({}, None), "ok"),
        (unread({"bad_json": 3}, 7200.0), "ok"),
        (unread({"bad_json": 3}, 60.0), "warn"),
        (errors([]), "ok"),
        (errors(["it broke"]), "warn"),
    ],
)
def test_each_finding_is_as_bad_as_it_is(finding: Finding, expected: str) -> None:
    assert finding.state == expected
    assert bool(finding.do) == (expected != "ok"), "what is wrong says what to do"


def test_what_was_set_aside_is_told_with_what_to_do(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    stream = state_dir / "leaf/set-aside/20260601T000000Z-1-OUTQ"
    stream.mkdir(parents=True)
    folder = state_dir / "set-aside/20260601T000000Z-1"
    folder.mkdir(parents=True)
    (folder / "reason.json").write_text(
        '{"what": "store", "error": "Corrupt database file", "time_ns": 1, "salvaged": null}'
    )
    found = [each for each in disk(box(tmp_path)) if "set aside" in each.says]
    assert [each.state for each in found] == ["warn", "warn"]
    assert "Corrupt database file" in found[0].says
    assert str(stream) in found[1].says
    assert all(each.do for each in found)


def test_readings_that_are_held_are_told_when_the_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    status = {"disk": {"level": "full", "holds": "the disk is full", "free_bytes": 0}}
    looked = Box(box(tmp_path).settings, status=status)
    assert [f.state for f in disk(looked) if "not stored now" in f.says] == ["fail"]
    status["disk"] = {"level": "low", "holds": "", "free_bytes": 5}
    assert [f.state for f in disk(looked) if "reserve_bytes" in f.says] == ["warn"]


@pytest.mark.parametrize(
    ("found", "embedded", "running", "expected"),
    [
        (None, True, False, "ok"),
        (None, True, True, "fail"),
        (None, False, False, "fail"),
        (Listener(1883, ""), False, True, "unseen"),
        (Listener(1883, "nats-server"), True, True, "ok"),
        (Listener(1883, "mosquitto", "mosquitto -c /usr/share/weir/m.conf"), False, True, "ok"),
        (Listener(1883, "mosquitto", "mosquitto -c /etc/mosquitto/m.conf"), False, True, "warn"),
        (Listener(1883, "mosquitto", "mosquitto -c /etc/mosquitto/m.conf"), True, False, "fail"),
    ],
)  # fmt: skip
def test_the_holder_of_the_port_is_told(
    found: Listener | None, expected: str, *, embedded: bool, running: bool
) -> None:
    (finding,) = judge(
        1883, found, embedded=embedded, is_optional=False, running=running, is_chosen=False
    )
    assert finding.state == expected
    if found and found.command and expected != "ok":
        assert "/etc/mosquitto" in finding.says


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("ActiveState=active NRestarts=0 Result=success", "ok"),
        ("ActiveState=active NRestarts=9 Result=success", "warn"),
        ("ActiveState=failed Result=exit-code", "fail"),
        ("ActiveState=activating Result=success", "warn"),
        ("ActiveState=inactive Result=success UnitFileState=enabled", "warn"),
        ("ActiveState=inactive Result=success UnitFileState=disabled", "ok"),
        ("LoadState=not-found ActiveState=inactive", "ok"),
    ],
)
def test_a_unit_is_judged_by_what_systemd_says(properties: str, expected: str) -> None:
    found = dict(each.split("=") for each in properties.split())
    assert condition("weir-leaf.service", found).state == expected


def test_packets_that_the_hub_refuses_are_told_with_the_reason() -> None:
    hub = {"url": "tls://h", "up": True, "reason": "", "forwarded": 5}
    refused = {"refused": 3, "refused_reason": "message size exceeds maximum allowed"}
    finding = linked({"hub": hub | refused, "outcomes": {"queued": 3, "oldest_s": 9e5}})
    assert finding.state == "warn"
    assert "3 outcomes: message size exceeds maximum allowed" in finding.says


def test_a_hub_that_is_away_is_told_with_what_waits() -> None:
    hub = {"url": "tls://h", "up": False, "reason": "no link", "forwarded": 0}
    finding = linked({"hub": hub, "outcomes": {"queued": 1200, "oldest_s": 60.0}})
    assert finding.state == "fail"
    assert "no link; 1,200 outcomes wait" in finding.says


def test_mosquitto_of_before_is_told_with_what_to_write_unless_that_is_written() -> None:
    before = Listener(1883, "mosquitto", "mosquitto -c /etc/mosquitto/m.conf")
    (asked,) = judge(1883, before, embedded=False, is_optional=False, running=True, is_chosen=False)
    assert "weir-mqtt stands back" in asked.says
    for line in (line for line in asked.do.split("; ")[0].split(": ")[1].split(" and ")):
        assert load_settings(None, mqtt=tomllib.loads(line)), line
    (written,) = judge(
        1883, before, embedded=False, is_optional=False, running=True, is_chosen=True
    )
    assert written.state == "ok"


def test_a_clock_that_went_back_is_told_when_files_are_of_the_future() -> None:
    assert not [*set_back(1000.0, 900.0)]
    (finding,) = set_back(1000.0, 8200.0)
    assert "120 min" in finding.says


@pytest.mark.parametrize(
    ("said", "states"),
    [
        ({}, []),
        ({"standing": "unsynced"}, []),
        ({"standing": "unset"}, ["fail"]),
        ({"system_ahead_s": -31e6}, ["warn"]),
        ({"moved": 2, "moved_s": 31e6}, ["ok"]),
    ],
)
def test_what_the_gateway_makes_of_the_clock_is_told(
    said: dict[str, object], states: list[str]
) -> None:
    clock = {"now_ns": 0, "standing": "ok", "system_ahead_s": 0.0, "moved": 0, "moved_s": 0.0}
    assert [f.state for f in taken({**clock, **said}, 30.0)] == states


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("cp311-cp311-manylinux_2_28_x86_64", True),
        ("cp38-abi3-manylinux_2_28_x86_64", True),
        ("py3-none-any", True),
        ("cp313-cp313-manylinux_2_28_x86_64", False),
    ],
)
def test_a_library_of_another_python_is_told(tag: str, *, fits: bool) -> None:
    assert (misfit("numpy", f"Wheel-Version: 1.0\nTag: {tag}\n", "311") == "") == fits


def test_the_embedded_brokers_store_counts_only_when_it_is_used() -> None:
    embedded = load_settings(None)
    other = load_settings(None, mqtt={"broker": "mqtt://h"})
    assert bound_bytes(embedded) - bound_bytes(other) == embedded.leaf.mqtt_store_bytes


def test_secrets_that_all_can_read_are_told(tmp_path: Path) -> None:
    file = tmp_path / "state/leaf/passwords.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    file.chmod(0o600)
    assert [f.state for f in secrets(box(tmp_path))] == ["ok"]
    file.chmod(0o644)
    (finding,) = secrets(box(tmp_path))
    assert finding.state == "fail"
    assert str(file) in finding.do


def test_a_state_directory_that_all_can_look_into_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    assert [f.state for f in state(box(tmp_path))] == ["ok", "warn"]
    (tmp_path / "state").chmod(0o750)
    assert [f.state for f in state(box(tmp_path))] == ["ok"]


def test_a_certificate_that_cannot_be_read_is_unseen(tmp_path: Path) -> None:
    (tmp_path / "state/mqtt").mkdir(parents=True)
    (tmp_path / "state/mqtt/server.pem").write_text("not one")
    assert [f.state for f in certificates(box(tmp_path))] == ["unseen"]


def test_the_rest_goes_on_when_a_check_cannot_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: Box) -> Iterator[Finding]:
        raise PermissionError("no")

    monkeypatch.setattr(examination, "CHECKS", (("one", breaks), *examination.CHECKS[:2]))
    found = [*examine(box(tmp_path))]
    assert [name for name, _ in found] == ["one", "configuration", "processor"]
    assert found[0][1].state == "unseen"


def test_a_wrong_configuration_is_told_and_the_rest_looked_at(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text("[hub]\nurl = 3\n")
    looked = look_at(config, tmp_path / "state")
    assert "hub.url" in looked.problems[0]
    assert looked.settings.gateway.state_dir == tmp_path / "state"
    first = next(examine(looked))
    assert first[1].state == "fail"


def test_state_directory_is_the_files_when_other_keys_are_wrong(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[gateway]\nstate_dir = "{tmp_path}/mine"\nnmae = "x"\n[mqtt]\nport = "high"\n'
        'broker = "mqtt://10.0.0.1"\n[hub]\nurl = 3\n[[assets]]\nname = "a"\ndevices = []\n[odd]\n'
    )
    looked = look_at(config)
    assert len(looked.problems) == 5
    assert looked.settings.gateway.state_dir == tmp_path / "mine"
    assert looked.settings.mqtt.broker == "mqtt://10.0.0.1"
    assert looked.knows_state_dir
    assert str(tmp_path / "mine") in looked.silence


@pytest.mark.parametrize("text", ["[gateway]\nstate_dir = 3\n", "[gateway\n", "gateway = 3\n"])
def test_doctor_says_that_it_does_not_know_the_state_directory_when_it_cannot_be_read(
    tmp_path: Path, text: str
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(text)
    found = list(configuration(look_at(config)))
    assert [each.state for each in found] == ["fail", "unseen"]
    assert "--state-dir" in found[1].do
    assert look_at(config, tmp_path).knows_state_dir


def test_default_directory_is_meant_when_no_file_says_another(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text("[mqtt]\nport = 'high'\n")
    assert look_at(config).knows_state_dir


LOG = """\
1000.000001 box systemd[1]: Started weir-mqtt.service - Weir: MQTT broker.
1000.100000 box mosquitto[81]: New connection from 10.0.0.7:4100 on port 1883.
1000.200000 box mosquitto[81]: New client connected from 10.0.0.7:4100 as plug-1 (p2, c1, k30, u'plug-1').
5000.000000 box mosquitto[81]: New connection from 10.0.0.7:4101 on port 1883.
5000.100000 box mosquitto[81]: Client <unknown> disconnected, not authorised.
5001.000000 box mosquitto[81]: New connection from 10.0.0.66:5000 on port 1883.
5001.500000 box mosquitto[81]: New connection from 10.0.0.7:4102 on port 1883.
5001.600000 box mosquitto[81]: Client <unknown> disconnected, not authorised.
5002.000000 box mosquitto[81]: New connection from 10.0.0.8:6000 on port 1883.
5002.100000 box mosquitto[81]: New client connected from 10.0.0.8:6000 as plug-2 (p5, c1, k30, u'plug-2').
5002.200000 box mosquitto[81]: New connection from 10.0.0.9:6000 on port 1883.
5002.300000 box mosquitto[81]: Client DVES_1 disconnected, not authorised.
5002.400000 box mosquitto[81]: Client plug-2 closed its connection.
5003.000000 box mosquitto[81]: New connection from 10.0.0.10:6000 on port 8884.
5003.100000 box mosquitto[81]: OpenSSL Error[0]: error:0A0000DF:SSL routines::psk identity not found
5003.100001 box mosquitto[81]: Client <unknown> disconnected: Protocol error.
"""  # fmt: skip # noqa: E501 - as Mosquitto 2.0.11 says it


def test_refused_logins_are_counted_by_address_when_mosquitto_names_no_user() -> None:
    found = read(LOG.splitlines(), 4000.0)
    assert found.refused == {"10.0.0.7": 2, "10.0.0.9": 1}
    finding = told(found)
    assert finding.state == "warn"
    assert "3 connections refused" in finding.says
    assert "2 from 10.0.0.7, where plug-1 was let in before; 1 from 10.0.0.9" in finding.says
    assert "1 connection with TLS failed: an identity or key" in finding.says
    assert "weir device rotate" in finding.do
    assert told(read(LOG.splitlines(), 6000.0)).state == "ok", "older than the last hour"
    assert told(Logins()).state == "ok"


def test_failed_handshake_is_counted_whichever_way_mosquitto_says_it() -> None:
    line = (
        "7.1 box mosquitto[1]: Client connection from 127.0.0.1 failed: error:0A000076:SSL r::odd."
    )
    assert read([line], 0.0).tls == {"odd": 1}


def test_refused_login_has_its_address_when_mosquitto_says_it() -> None:
    line = "7.1 box mosquitto[1]: Client a b [fd00::7:41000] disconnected: not authorised."
    assert read([line.replace("a b", "a")], 0.0).refused == {"fd00::7": 1}


def test_devices_that_are_too_loud_or_silent_are_told_with_what_to_do() -> None:
    case = {
        "device": "plug 1", "state": "quarantined", "why": "noise", "rate_hz": 4980.2,
        "usual_hz": 5.0, "shed": 12_000,
    }  # fmt: skip
    (loud,) = noisy([case])
    assert loud.says.startswith("too much comes from plug 1: 4,980 messages/s, usually 5; it is")
    assert "weir device release 'plug 1'" in loud.do
    (garbage,) = noisy([{**case, "why": "garbage", "usual_hz": 0.0}])
    assert garbage.says.startswith("only garbage comes from plug 1: 4,980 messages/s; it is")
    assert len([*noisy([case] * 30)]) == 11
    (quiet,) = silent([f"d{n}" for n in range(12)])
    assert quiet.says.endswith("d9 and 2 more")
    assert [*silent([])] == [*crowded({"bad_json": 5})] == []
    (crowd,) = crowded({"too_many_devices": 2, "too_many_series": 1})
    assert crowd.says.startswith("3 messages")
    assert all(each.state == "warn" and each.do for each in (loud, garbage, quiet, crowd))
