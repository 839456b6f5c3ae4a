"""The commands as a person uses them, against a gateway and a hub that run."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.stand import Stand, stand
from gateway.access.hosts import addresses
from tests.conftest import ROOT, Weir

COMMANDS = [
    "run", "demo", "status", "devices", "outcomes", "deadletters", "sql", "check", "replay",
    "hub", "hub config", "plugin list", "plugin test", "plugin new", "plugin forget",
]  # fmt: skip
CONFIG = """
[gateway]
name = "cli"
state_dir = "{state_dir}"
[mqtt]
port = 0
topics = ["#"]
[hub]
url = "{leaf_url}"
[metrics]
port = 0
"""
ODD_TOPIC = "nobody/[red]claims[/red]"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with stand(tmp_path_factory.mktemp("cli")) as made:
        made.start_hub()
        made.write_config(CONFIG)
        for kind in ("plugins", "profiles"):
            (made.state_dir / kind / "[b]broken").mkdir(parents=True)
        (made.state_dir / "plugins/[b]broken/plugin.toml").write_text("api = 1\n")
        (made.state_dir / "profiles/[b]broken/profile.yaml").write_text("rules: 3\n")
        made.start_gateway()
        _publish(
            made, [(ODD_TOPIC, "[/b]"), ("sensors/one", '{"temp": 21.5}'), ("sensors/one", "{")]
        )
        yield made


def _publish(to: Stand, messages: list[tuple[str, str]]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device")
    client.connect(*to.broker())
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1).wait_for_publish(10.0)
    client.disconnect()
    client.loop_stop()
    until = time.monotonic() + 10.0
    while to.ask("/status")["messages"]["stored"] < 1:
        assert time.monotonic() < until
        time.sleep(0.05)


def _state(of: Stand) -> list[str]:
    return ["--state-dir", str(of.state_dir)]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_when_asked_for(weir: Weir, command: str) -> None:
    said = weir(*command.split(), "--help")
    assert said.returncode == 0, said.stderr
    assert f"Example: weir {command}" in said.stdout


def test_all_commands_are_listed_when_help_is_asked_for(weir: Weir) -> None:
    said = weir("--help").stdout
    assert all(f"│ {command.split()[0]} " in said for command in COMMANDS)


def test_nearest_command_is_told_when_one_is_misspelled(weir: Weir) -> None:
    said = weir("statsu")
    assert said.returncode == 2
    assert "did you mean 'status'?" in said.stderr


def test_version_is_printed_when_asked_for(weir: Weir) -> None:
    assert weir("--version").stdout.count(".") == 2


def test_nothing_heavy_is_imported_when_the_status_is_asked() -> None:
    code = "import sys, gateway.cli.main, gateway.cli.questions; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(loaded.stdout.split())
    assert not modules & {"duckdb", "nats", "numpy", "openvino", "onnxruntime", "aiohttp", "paho"}


def test_status_tells_what_is_set_aside_when_folders_are_broken(here: Stand, weir: Weir) -> None:
    said = weir("status", *_state(here)).stdout
    assert "1 stored" in said
    assert "dead letters: bad_json 1, unclaimed 1" in said
    assert "plugin set aside" in said
    assert "profile set aside" in said
    assert "[b]broken/plugin.toml" in said
    assert "machine-anomaly" in said


@pytest.mark.parametrize(
    "command",
    [["status"], ["devices"], ["devices", "--unknown"], ["deadletters"], ["sql", "select 1"],
     ["plugin", "list"], ["outcomes"]],
)  # fmt: skip
def test_answer_is_a_line_of_json_when_a_program_asks(
    here: Stand, weir: Weir, command: list[str]
) -> None:
    said = weir(*command, "--json", *_state(here))
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    lines = said.stdout.splitlines()
    assert len(lines) == (0 if command == ["outcomes"] else 1)  # an outcome a line, none yet
    assert all(json.loads(line) for line in lines)


def test_markup_is_shown_as_it_is_when_data_holds_some(here: Stand, weir: Weir) -> None:
    assert ODD_TOPIC in weir("devices", "--unknown", *_state(here)).stdout
    letters = weir("deadletters", *_state(here)).stdout
    assert ODD_TOPIC in letters
    assert "[/b]" in letters
    assert "[red]x[/red]" in weir("sql", "select '[red]x[/red]' as \"[b]\"", *_state(here)).stdout


def test_device_is_shown_with_its_reading_when_it_has_spoken(here: Stand, weir: Weir) -> None:
    said = weir("devices", *_state(here)).stdout
    assert "temp 21.5" in said
    assert "json" in said


def test_outcomes_are_told_here_and_at_the_hub_when_a_table_is_replayed(
    here: Stand, weir: Weir, tmp_path: Path
) -> None:
    rows = [f"{n},{n % 7},{n % 5},{n % 3}" for n in range(400)]
    table = tmp_path / "[b]pump.csv"
    table.write_text("\n".join(["ts,flow,current,temp", *rows]))
    said = weir("replay", str(table), "--device", "pump", *_state(here))
    assert said.returncode == 0, said.stderr
    assert "400 rows x 3 metrics = 1,200 readings; 1,200 are in the store" in said.stdout
    here.settle()
    local = weir("outcomes", *_state(here), "--json").stdout.splitlines()
    at_hub = weir("outcomes", "--hub", here.hub_url, "--json").stdout.splitlines()
    assert len(local) >= 1
    assert [json.loads(line)["id"] for line in local] == [json.loads(x)["id"] for x in at_hub]
    assert "cli/pump" in weir("outcomes", "--hub", here.hub_url).stdout
    said = weir("plugin", "forget", "machine-anomaly", "--source", "pump", *_state(here))
    assert (said.returncode, said.stdout) == (0, "1 source forgotten; it begins anew\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nobody"], "no plugin 'nobody' runs here; there are: machine-anomaly"),
        (["machine-anomaly", "--source", "nobody"], "knows only 0 sources of those"),
    ],
)
def test_nothing_is_forgotten_when_there_is_no_such_thing(
    here: Stand, weir: Weir, arguments: list[str], told: str
) -> None:
    said = weir("plugin", "forget", *arguments, *_state(here))
    assert said.returncode == 1
    assert told in said.stderr


def test_gateway_is_refused_when_another_has_its_state_dir(here: Stand, weir: Weir) -> None:
    said = weir("run", "--port", "0", *_state(here))
    assert said.returncode == 78
    assert said.stderr.splitlines()[-1].endswith("another gateway is running on it; stop it first")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_what_to_do_is_told_when_the_mqtt_port_is_taken(
    weir: Weir, tmp_path: Path, taken: int
) -> None:
    said = weir("run", "--state-dir", str(tmp_path), "--port", str(taken))
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert "--port 1884" in said.stderr


def test_what_to_do_is_told_when_the_metrics_port_is_taken(
    weir: Weir, tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_METRICS__PORT", str(taken))
    monkeypatch.setenv("WEIR_PLUGINS__SHIPPED", "false")
    said = weir("run", "--state-dir", str(tmp_path), "--port", "0")
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert "set another [metrics] port" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--hub", "foo:bar"], "hub.url = 'foo:bar': must be"),
        (["-c", "/nowhere.toml"], "/nowhere.toml: no such file"),
        (["--port", "70000"], "mqtt.port = 70000"),
        (["--state-dir", __file__], f"gateway.state_dir = {__file__!r}: not writable"),
    ],
)
def test_exit_code_is_78_when_the_configuration_is_wrong(
    weir: Weir, tmp_path: Path, arguments: list[str], told: str
) -> None:
    given = arguments if "--state-dir" in arguments else [*arguments, "--state-dir", str(tmp_path)]
    said = weir("run", *given)
    assert said.returncode == 78
    assert "Traceback" not in said.stderr
    assert f"error: {told}" in said.stderr.replace("command line: ", "")


def test_everything_set_aside_is_told_when_checked(here: Stand, weir: Weir) -> None:
    said = weir("check", *_state(here))
    assert said.returncode == 1
    for file in ("profiles/[b]broken/profile.yaml", "plugins/[b]broken/plugin.toml"):
        assert f"set aside: {here.state_dir}/{file}" in said.stderr
    told = json.loads(weir("check", "--json", *_state(here)).stdout)
    assert len(told["problems"]) == said.stderr.count("set aside: ")
    assert "machine-anomaly" in told["plugins"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[gateway]\nname = "hub"', "hub's own name"),
        ('[mqtt]\npassword_file = "/nowhere"', "mqtt.password_file = '/nowhere': No such file"),
        (f'[gateway]\nstate_dir = "/tmp/{"x" * 120}"', "too long for a local socket"),
    ],
)
def test_what_only_a_start_would_show_is_told_when_checked(
    weir: Weir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    monkeypatch.setenv("WEIR_CONFIG", str(file))  # found without -c
    said = weir("check")
    assert said.returncode == 78
    assert told in said.stderr
    report = weir("check", "--json")
    assert report.returncode == 78
    assert told in json.loads(report.stdout)["problems"][0]


def test_what_to_do_is_told_when_no_hub_answers(weir: Weir, taken: int) -> None:
    said = weir("outcomes", "--hub", "nats://me:secret@127.0.0.1:1")
    assert said.returncode == 1
    assert "no hub with outcomes answers at nats://127.0.0.1:1" in said.stderr
    assert "secret" not in said.stderr


@contextmanager
def _hub(folder: Path, *options: str) -> Iterator[IO[str]]:
    """Run a try-out hub, and give what it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "hub", "--dir", str(folder), "--client-port", "0",
         "--leaf-port", "0", "--mqtt-port", "0", *options],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10.0) == 0
        process.stdout.close()


def test_hub_prints_what_connects_a_gateway_when_it_is_ready(tmp_path: Path) -> None:
    with _hub(tmp_path / "hub") as printed:
        said = [printed.readline() for _ in range(5)]
        if addresses():
            assert f"weir hub --host {addresses()[0]}" in said[4]
            said[4] = printed.readline()
    assert said[1] == "  [hub]\n"
    assert said[2].startswith('  url = "nats-leaf://127.0.0.1:')
    assert "weir run --hub nats-leaf://127.0.0.1:" in said[3]
    assert "weir outcomes --follow --hub nats://127.0.0.1:" in said[4]


def test_box_joins_with_the_line_that_the_hub_prints(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(f'[gateway]\nname = "shop-01"\nstate_dir = "{tmp_path}/state"\n')
    with _hub(tmp_path / "hub", "--host", "0.0.0.0", "--json") as printed:
        line = json.loads(printed.readline())["join"]
        assert f"//{(*addresses(), 'none')[0]}:" in line
        line = line.replace("sudo weir", f"{sys.executable} -m gateway.cli")
        said = subprocess.run(
            ["sh", "-c", f"{line} -c {config} --wait 0"],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
    assert "the hub takes the link" in said.stdout, said.stderr
    assert "//fleet:" not in said.stdout
    assert (tmp_path / "gateway.d" / "hub.toml").is_file()


def test_configuration_of_a_hub_is_private_when_written(weir: Weir, tmp_path: Path) -> None:
    file = tmp_path / "hub.conf"
    said = weir("hub", "config", "gw-01", "gw-02", "-o", str(file))
    assert said.returncode == 0, said.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert 'user: "gw-02"' in file.read_text()


def test_gateway_keeps_what_it_had_when_stopped_and_started(weir: Weir, tmp_path: Path) -> None:
    with stand(tmp_path) as made:
        made.write_config(CONFIG)
        made.start_gateway()
        _publish(made, [("sensors/one", '{"temp": 21.5}')])
        began = time.monotonic()
        assert made.stop("gateway") == 0
        assert time.monotonic() - began < 10.0
        assert not (made.state_dir / "weir.sock").exists()
        made.start_gateway()
        assert made.ask("/sql", "select value from readings")["rows"] == [[21.5]]
        assert made.stop("gateway", signal.SIGINT) == 0
    assert weir("status", *_state(made)).returncode == 1


def test_demos_sums_add_up_when_it_is_stopped_early() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "demo", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    time.sleep(6.0)
    process.send_signal(signal.SIGTERM)
    said, complained = process.communicate(timeout=30.0)
    assert process.returncode == 0, complained
    report = json.loads(said)
    assert report["received"] == report["published"] > 0
    assert report["received"] == report["stored_messages"]
    assert set(report["latency_ms"]) == {"p50", "p95"}


def test_demo_cuts_and_restores_the_link_when_it_is_short(weir: Weir) -> None:
    said = weir("demo", "--seconds", "8")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    told = [n for n, line in enumerate(lines) if "CUT" in line or "BACK" in line]
    assert len(told) == 2
    assert "stayed on the box" in said.stdout
