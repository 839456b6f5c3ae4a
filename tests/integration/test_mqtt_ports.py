"""What is in the way of our Mosquitto's ports, in words."""

import socket
from pathlib import Path

import pytest

from gateway.mqtt_ports import in_the_way, listeners, main

ROOT = Path(__file__).parents[2]


def test_the_shipped_brokers_ports_are_found() -> None:
    shipped = ROOT / "packaging/mosquitto.conf"
    assert ("0.0.0.0", 1883) in listeners(shipped.read_text())
    assert ("0.0.0.0", 8883) in listeners(shipped.read_text())


def test_an_address_is_read_when_a_listener_has_one() -> None:
    text = "listener 1 127.0.0.1\n# listener 2\nlistener 3\n listener 4\nlistener 5 ::1\n"
    assert listeners(text) == [("127.0.0.1", 1), ("0.0.0.0", 3), ("::1", 5)]


def test_the_units_own_mosquitto_is_named_when_it_has_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        processes = tmp_path / "system.slice/mosquitto.service/cgroup.procs"
        processes.parent.mkdir(parents=True)
        processes.write_text("123\n")
        said = in_the_way([("0.0.0.0", port)], tmp_path)
        assert f"port {port} is held by this box's own Mosquitto" in said
        assert f"mqtt://127.0.0.1:{port}" in said
        assert "systemctl disable --now mosquitto" in said
        processes.write_text("")
        assert "another program" in in_the_way([("0.0.0.0", port)], tmp_path)


def test_the_exit_code_has_the_unit_skipped_when_a_port_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        file = tmp_path / "mosquitto.conf"
        file.write_text(f"listener {other.getsockname()[1]}\n")
        assert main([str(file)]) == 1
    assert "weir-mqtt is not started" in capsys.readouterr().err
    assert main([str(file)]) == 0
    assert capsys.readouterr().err == ""
