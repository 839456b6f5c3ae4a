"""The register of devices and the files made from it; certificates; what is shown."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.access import authority as authority_module
from gateway.access import broker, credentials, packets
from gateway.access.authority import Authority
from gateway.access.errors import AccessError
from gateway.access.packets import PacketError
from gateway.access.register import Device, Register
from gateway.cli.access import access
from gateway.cli.device import device

ROOT = Path(__file__).parents[2]
KEPT = (  # by mosquitto_passwd, of "secret-1"
    "$7$101$dXnR0VxRnRDvB5U7$98APy2pDMa2OJfqXQ/Y1PZ+7vhRYVPDQAQqa"
    "FOZZeVlWFJ01TpzJuobLLCy2sF3HFmHWalZOqsWgaC4IiBXapw=="
)


def test_hash_is_mosquittos_own_when_password_and_salt_are_the_same() -> None:
    assert credentials.fits("secret-1", KEPT)
    assert not credentials.fits("secret-2", KEPT)
    assert not credentials.fits("secret-1", "")
    assert credentials.hashed("a") != credentials.hashed("a")


def test_password_begins_with_a_letter_or_digit() -> None:
    assert all(credentials.new_password()[0].isalnum() for _ in range(300))


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "mqtt")


def test_files_hold_no_password_and_are_nobody_elses_to_read(register: Register) -> None:
    register.render()
    password = credentials.new_password()
    register.add(Device("plug-1", "", ("tele/plug-1/#",), (), credentials.hashed(password)))
    for file in register.folder.iterdir():
        assert password not in file.read_text()
        if file.name != "lock":
            assert not file.stat().st_mode & stat.S_IRWXO
    assert (register.folder / "gateway.password").stat().st_mode & 0o777 == 0o600
    assert register.folder.stat().st_mode & 0o777 == 0o750


def test_nothing_is_written_when_nothing_changed(register: Register) -> None:
    assert register.render()
    before = {f.name: f.stat().st_ino for f in register.folder.iterdir()}
    assert not register.render()
    assert {f.name: f.stat().st_ino for f in register.folder.iterdir()} == before


@pytest.mark.parametrize("lost", ["acl", "passwords", "psk"])
def test_files_are_made_anew_when_the_power_went_between_them(
    register: Register, lost: str
) -> None:
    register.add(Device("a", "", ("x/a/#",), (), credentials.hashed("p")))
    register.add(Device("b", "", ("x/b/#",), key="00" * 16))
    good = (register.folder / lost).read_text()
    (register.folder / lost).write_text("")
    assert register.render()
    made = (register.folder / lost).read_text()
    if lost == "passwords":  # the gateway's has a new salt
        good, made = (text.partition("\n")[2] for text in (good, made))
    assert made == good


def test_gateway_keeps_its_password_when_the_hashes_are_lost(register: Register) -> None:
    register.render()
    password = (register.folder / "gateway.password").read_text()
    (register.folder / "passwords").unlink()
    register.render()
    assert (register.folder / "gateway.password").read_text() == password
    kept = (register.folder / "passwords").read_text().strip().partition(":")[2]
    assert credentials.fits(password.strip(), kept)


def test_old_files_stay_when_a_new_one_cannot_be_written(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register.add(Device("a", "", ("x/a/#",), (), credentials.hashed("p")))
    before = {f.name: f.read_text() for f in register.folder.iterdir()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(AccessError, match="No space left"):
        register.add(Device("b", "", ("x/b/#",), (), credentials.hashed("p")))
    assert {f.name: f.read_text() for f in register.folder.iterdir()} == before


def test_revoked_is_noted_until_the_device_is_let_in_again(register: Register) -> None:
    plug = Device("plug-1", "", ("x/a/#",), (), credentials.hashed("p"))
    register.add(plug)
    assert register.revoked() == {}
    register.remove("plug-1", 7)
    assert register.revoked() == {"plug-1": 7}
    register.add(plug)
    assert register.revoked() == {}
    (register.folder / "revoked.json").write_text("[1]")
    assert register.revoked() == {}


def test_register_is_refused_and_kept_when_it_is_damaged(register: Register) -> None:
    register.render()
    damaged = register.folder / "devices.json"
    damaged.write_text('[{"name": "a"}]')
    with pytest.raises(AccessError, match="not readable"):
        register.render()
    assert damaged.read_text() == '[{"name": "a"}]'


def test_another_process_is_no_broker_when_the_pid_is_old(tmp_path: Path) -> None:
    for said in ("1", "999999999", "x", ""):
        (tmp_path / "mosquitto.pid").write_text(said)
        assert not broker.reload(tmp_path)


def test_certificate_is_renewed_when_it_ends_soon_or_the_box_has_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Authority(tmp_path)
    assert "authority made" in made.prepare("box", ["box", "127.0.0.1"])
    fingerprint, key = made.fingerprint(), made.tasmota_fingerprint()
    assert made.prepare("box", ["127.0.0.1"]) == ""
    assert "10.0.0.7" in made.prepare("box", ["box", "127.0.0.1", "10.0.0.7"])
    monkeypatch.setattr(authority_module, "_LIFETIME", timedelta(days=59))
    made.renew(["box"])
    monkeypatch.undo()
    assert "counted" in made.prepare("box", ["box"])
    found = made.server()
    assert found is not None
    assert found.ends - datetime.now(UTC) > timedelta(days=390)
    assert (made.fingerprint(), made.tasmota_fingerprint()) == (fingerprint, key)
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o640
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


def test_certificate_is_made_anew_when_it_is_damaged_or_anothers(tmp_path: Path) -> None:
    made = Authority(tmp_path)
    made.prepare("box", ["box"])
    (tmp_path / "server.pem").write_text("no certificate")
    assert "made" in made.prepare("box", ["box"])
    (tmp_path / "ca.pem").unlink()
    assert "another" in made.prepare("box", ["box"])


def run(app: object, *arguments: str, code: int = 0) -> str:
    found = CliRunner().invoke(app, arguments)  # type: ignore[arg-type] # a typer app
    assert found.exit_code == code, found.output
    return found.output


def test_password_is_shown_once_when_a_device_is_added(tmp_path: Path) -> None:
    where = ("--state-dir", str(tmp_path))
    run(access, "prepare", *where)
    assert "nothing to do" in run(access, "prepare", *where)
    said = run(device, "add", "plug-1", "-p", "tasmota", "--host", "10.0.0.2", *where)
    password = said.partition("MqttPassword ")[2].partition(";")[0]
    assert "Backlog MqttHost 10.0.0.2; MqttPort 1883; MqttUser plug-1; MqttPassword" in said
    assert "MqttFingerprint1" in said
    listed = run(device, "list", "--json", *where)
    assert password not in listed
    [row] = json.loads(listed)
    assert (row["name"], row["by"], row["profile"]) == ("plug-1", "password", "tasmota")
    kept = Register(tmp_path / "mqtt").device("plug-1").password
    assert credentials.fits(password, kept)
    rotated = json.loads(run(device, "rotate", "plug-1", "--json", *where))
    assert not credentials.fits(password, Register(tmp_path / "mqtt").device("plug-1").password)
    assert rotated["password"] != password
    run(device, "revoke", "plug-1", *where)
    assert "did you mean" not in run(device, "revoke", "plug-1", *where, code=1)
    assert "no device" in run(device, "list", *where)


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ("esphome", "topic_prefix: thing"),
        ("shelly-gen1", "mqtt_id=thing"),
        ("shelly-gen2", '"topic_prefix":"thing"'),
        ("zigbee2mqtt", "base_topic: zigbee2mqtt"),
        ("json", "user      thing"),
    ],
)
def test_lines_are_the_firmwares_own(tmp_path: Path, profile: str, says: str) -> None:
    assert says in run(device, "add", "thing", "-p", profile, "--state-dir", str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can go on as another user")
def test_files_belong_to_the_gateways_user_when_root_adds_a_device() -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are root's alone
        os.chown(folder, nobody, nobody)
        subprocess.run(
            [sys.executable, "-m", "gateway.cli", "device", "add", "x", "--state-dir", folder],
            check=True, capture_output=True, cwd=ROOT,
        )  # fmt: skip
        made = [Path(folder, "mqtt"), *Path(folder, "mqtt").iterdir()]
        assert len(made) > 5
        assert {(file.stat().st_uid, file.stat().st_gid) for file in made} == {(nobody, nobody)}


def test_key_is_shown_with_its_port_when_a_device_is_to_have_one(tmp_path: Path) -> None:
    said = run(device, "add", "pump", "--psk", "--state-dir", str(tmp_path))
    assert "8884" in said
    kept = Register(tmp_path / "mqtt").device("pump")
    assert kept.key in said
    assert not kept.password
    assert f"pump:{kept.key}" in (tmp_path / "mqtt" / "psk").read_text()
    assert "pump" not in (tmp_path / "mqtt" / "passwords").read_text()


def test_packet_is_read_as_it_was_written_when_a_client_connects() -> None:
    sent = packets.connect("id", "user", "pass", 30)
    assert packets.read_connect(sent[2:]) == packets.Connect(4, "id", 30, "user", "pass")


@pytest.mark.parametrize("cut", range(1, 20))
def test_packet_is_refused_when_it_ends_too_early(cut: int) -> None:
    body = packets.connect("id", "user", "pass")[2:-cut]
    with pytest.raises(PacketError):
        packets.read_connect(body)
