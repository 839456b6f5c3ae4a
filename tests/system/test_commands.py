"""What commands say, and with which exit code they end, when something is not as it should be."""

from pathlib import Path

import pytest

from tests.conftest import Weir

ALL_WRONG = """
[gateway]
name = "has spaces"
colour = "blue"
[mqtt]
broker = "http://somewhere"
porrt = 1883
[store]
max_age_h = -1
[hub]
url = "carrier-pigeon"
[[assets]]
name = "pump"
devices = []
"""
TOLD = [
    ("gateway.name", "has spaces"),
    ("gateway.colour", "unknown key"),
    ("mqtt.broker", "http://somewhere"),
    ("mqtt.porrt", "did you mean 'port'"),
    ("store.max_age_h", "-1"),
    ("hub.url", "carrier-pigeon"),
    ("assets.0.devices", "at least 1"),
]


@pytest.mark.parametrize("command", ["run", "check", "status"])
def test_every_problem_is_told_when_the_configuration_is_wrong(
    tmp_path: Path, weir: Weir, command: str
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(ALL_WRONG)
    said = weir(command, "-c", str(file))
    assert said.returncode == 78
    lines = said.stderr.splitlines()
    for key, why in TOLD:
        told = [line for line in lines if f"{file}: {key}" in line]
        assert len(told) == 1, said.stderr
        assert why in told[0]


@pytest.mark.parametrize("command", [["status"], ["devices"], ["deadletters"], ["sql", "SELECT 1"]])
def test_what_to_do_is_told_when_no_gateway_runs(
    tmp_path: Path, weir: Weir, command: list[str]
) -> None:
    said = weir(*command, "--state-dir", str(tmp_path))
    assert said.returncode == 1
    assert "no gateway runs" in said.stderr
    assert "weir run" in said.stderr
