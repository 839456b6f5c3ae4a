"""What the doctor makes of what it finds."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config import load_settings
from gateway.doctor import examination
from gateway.doctor.clock import set_back, year
from gateway.doctor.disk import bound_bytes, inodes, space
from gateway.doctor.examination import examine, look_at
from gateway.doctor.files import certificates, expiry, secrets, state
from gateway.doctor.finding import Box, Finding
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
        (year(datetime(1970, 1, 2, tzinfo=UTC).timestamp()), "fail"),
        (year(NOW.timestamp()), "ok"),
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
    (finding,) = judge(1883, found, embedded=embedded, is_optional=False, running=running)
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


def test_a_clock_that_went_back_is_told_when_files_are_of_the_future() -> None:
    assert not [*set_back(1000.0, 900.0)]
    (finding,) = set_back(1000.0, 8200.0)
    assert "120 min" in finding.says


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
