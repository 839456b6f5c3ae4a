"""Devices let in, several at once; and what a command does not import for it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from gateway.access import broker
from gateway.access.register import Register
from gateway.cli.device import device
from gateway.cli.main import _WHERE, _Commands, weir
from tests.conftest import ROOT

HEAVY = {"cv2", "duckdb", "nats", "numpy", "onnxruntime", "openvino", "paho"}


def add(folder: Path, *words: str, code: int = 0, said: str = "") -> str:
    arguments = ["add", *words, "--state-dir", str(folder)]
    found = CliRunner().invoke(device, arguments, input=said)
    assert found.exit_code == code, found.output
    return found.output


def names(folder: Path) -> list[str]:
    return sorted(Register(folder / "mqtt").devices())


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The broker is told; how often."""
    folders: list[Path] = []

    def reload(folder: Path) -> bool:
        folders.append(folder)
        return True

    monkeypatch.setattr(broker, "reload", reload)
    return folders


def test_broker_is_told_once_when_several_are_named(tmp_path: Path, told: list[Path]) -> None:
    said = add(tmp_path, "plug-1", "plug-2", "plug-3", "-p", "tasmota", "--host", "10.0.0.2")
    assert names(tmp_path) == ["plug-1", "plug-2", "plug-3"]
    assert told == [tmp_path / "mqtt"]
    for name in names(tmp_path):
        assert f"MqttUser {name}; MqttPassword" in said
    lines = add(tmp_path, "a", "b", "--json").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["name"] for row in rows] == ["a", "b"]
    assert rows[0]["password"] != rows[1]["password"]
    assert len(told) == 2


def test_none_is_let_in_when_one_cannot_be(tmp_path: Path, told: list[Path]) -> None:
    add(tmp_path, "plug-1", "-p", "tasmota")
    before = (tmp_path / "mqtt" / "devices.json").read_bytes()
    assert "is there already" in add(tmp_path, "plug-2", "plug-1", "-p", "tasmota", code=1)
    assert "is there already" in add(tmp_path, "twice", "twice", code=1)
    assert "overlap" in add(tmp_path, "x", "y", "--topic", "hall/#", code=1)
    assert (tmp_path / "mqtt" / "devices.json").read_bytes() == before
    assert len(told) == 1


def test_each_has_its_own_profile_when_a_file_lists_them(tmp_path: Path) -> None:
    listed = tmp_path / "devices.csv"
    listed.write_text("\ufeff# the hall\nplug-1, tasmota\n\nnode-1\nplug-9,shelly-gen2\n")
    add(tmp_path, "first", "--from", str(listed), "-p", "esphome")
    found = {name: each.profile for name, each in Register(tmp_path / "mqtt").devices().items()}
    assert found == {
        "first": "esphome", "plug-1": "tasmota", "node-1": "esphome", "plug-9": "shelly-gen2"
    }  # fmt: skip


def test_list_comes_over_standard_input_when_the_file_is_a_dash(tmp_path: Path) -> None:
    add(tmp_path, "--from", "-", said="one\ntwo,tasmota\n")
    assert names(tmp_path) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\nb,tasmotta\n", "did you mean 'tasmota'"),
        ("a,tasmota,extra\n", "line 1"),
        ("a\n,tasmota\n", "line 2"),
    ],
)
def test_nobody_is_let_in_when_a_line_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    listed = tmp_path / "devices.csv"
    listed.write_text(text)
    assert says in " ".join(add(tmp_path, "--from", str(listed), code=78).split())
    assert not (tmp_path / "mqtt").exists()


def test_command_line_is_wrong_when_nobody_is_named(tmp_path: Path) -> None:
    assert "which device?" in add(tmp_path, code=2)
    assert "which device?" in add(tmp_path, "--from", "-", said="# none\n", code=2)


def test_file_is_named_when_it_is_not_there(tmp_path: Path) -> None:
    assert "no-such.csv" in add(tmp_path, "--from", str(tmp_path / "no-such.csv"), code=78)


def test_many_are_let_in_at_once_when_a_site_is_prepared(tmp_path: Path) -> None:
    began = time.monotonic()
    add(tmp_path, "--from", "-", "-p", "tasmota", said="".join(f"plug-{n}\n" for n in range(300)))
    assert len(names(tmp_path)) == 300
    assert time.monotonic() - began < 20.0


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["device", "--help"],
        ["device", "list"],
        ["device", "add", "x", "-p", "tasmota"],
        ["device", "rotate", "x"],
        ["access", "prepare"],
    ],
)
def test_nothing_heavy_is_imported_when_a_command_needs_none(
    tmp_path: Path, words: list[str]
) -> None:
    where = [] if "--help" in words else ["--state-dir", str(tmp_path)]
    if "rotate" in words:
        add(tmp_path, "x")
    program = (
        "import sys\n"
        "from gateway.cli.main import main\n"
        "try:\n    main()\n"
        f"finally:\n    sys.exit(str(sorted({HEAVY!r} & set(sys.modules)) or ''))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, *words, *where],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert said.stdout, said.stderr
    assert said.stderr.strip() == ""


def test_list_of_commands_says_what_each_says_of_itself() -> None:
    group = get_command(weir)
    assert isinstance(group, _Commands)
    context = typer.Context(group)
    for name, (_, line) in _WHERE.items():
        command = group.resolve_command(context, [name])[1]
        first = " ".join((command.help or "").split("\n\n")[0].split())
        assert line == first, name
