import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from gateway.config import SHIPPED, Settings, load_settings, load_usable_settings
from gateway.errors import ConfigError

EXAMPLE = SHIPPED / "packaging" / "gateway.toml"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write(folder: Path, text: str, name: str = "gateway.toml") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def problems(path: Path | None) -> list[str]:
    with pytest.raises(ConfigError) as told:
        load_settings(path)
    return told.value.problems


def problems_to_run(path: Path | None, **more: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as told:
        load_usable_settings(path, **more)
    return told.value.problems


def test_defaults_are_usable_when_there_is_no_file(tmp_path: Path) -> None:
    settings = load_settings(None)
    assert settings.mqtt.broker == "embedded"
    assert settings.gateway.state_dir == tmp_path / "state" / "weir"
    assert settings.socket_path.name == "weir.sock"
    assert settings.plugin_dirs[0] == SHIPPED / "plugins"
    assert settings.profile_dirs[-1] == settings.gateway.state_dir / "profiles"


def test_unknown_key_is_told_with_the_nearest_when_misspelled(tmp_path: Path) -> None:
    file = write(tmp_path, "[mqtt]\nprot = 1884\n")
    assert problems(file) == [f"{file}: mqtt.prot: unknown key; did you mean 'port'?"]


def test_unknown_key_is_told_with_all_known_when_nothing_is_near(tmp_path: Path) -> None:
    [problem] = problems(write(tmp_path, "[hub]\nxyz = 1\n"))
    assert problem.endswith(
        "known here: url, credentials_file, login_file, ca_file, drain_per_s, drain_order"
    )


def test_unknown_key_of_an_asset_is_told_when_it_lies_in_a_list(tmp_path: Path) -> None:
    text = '[[assets]]\nname = "p"\ndevices = ["a"]\nasset_clas = "pump"\n'
    [problem] = problems(write(tmp_path, text))
    assert problem.endswith("assets.0.asset_clas: unknown key; did you mean 'asset_class'?")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[mqtt]\nport = "many"', "mqtt.port = 'many'"),
        ("[mqtt]\nport = 70000", "mqtt.port = 70000: Input should be less than or equal to 65535"),
        ('[mqtt]\nbroker = "mqtt://h:70000"', "a port is at most 65535"),
        ('[mqtt]\nbroker = "tcp://h"', 'must be "embedded", "mqtt://host:1883"'),
        ('[hub]\nurl = "http://h"', 'must be "" or like "nats-leaf://host:7422"'),
        ('[hub]\nurl = "tls://h:port"', "host or port is not valid"),
        ('[gateway]\nname = "a b"', "may hold letters, digits, - and _ only"),
        ('[gateway]\ntimezone = "Mars/Olympus"', "unknown time zone; must be like UTC"),
        ('[gateway]\nlog_level = "loud"', "'debug', 'info', 'warning' or 'error'"),
        ("gateway = 3", "gateway = 3"),
        ("[gateway", "not readable as TOML"),
    ],
)
def test_wrong_value_is_told_with_file_and_what_is_allowed_when_loaded(
    tmp_path: Path, text: str, told: str
) -> None:
    file = write(tmp_path, text)
    [problem] = problems(file)
    assert problem.startswith(f"{file}: ")
    assert told in problem


def test_all_problems_are_told_when_there_are_several(tmp_path: Path) -> None:
    file = write(tmp_path, "[mqtt]\nport = -1\n[store]\nmax_rows = 0\n[hubb]\n")
    more = write(tmp_path, "not toml", "gateway.d/9.toml")
    told = problems_to_run(file, plugins={"dirs": ["/nowhere/at/all"]})
    assert len(told) == 5
    assert [t for t in told if t.startswith(f"{more}: ")]
    assert [t for t in told if t.startswith("command line: plugins.dirs = '/nowhere/at/all'")]


def test_file_that_is_not_there_is_told_when_named() -> None:
    assert problems(Path("/nowhere.toml")) == [
        "/nowhere.toml: no such file; leave out -c for the defaults"
    ]


@pytest.mark.parametrize(
    ("table", "key"),
    [("mqtt", "password_file"), ("mqtt", "ca_file"), ("hub", "credentials_file")],
)
def test_missing_secret_is_told_when_files_must_exist(tmp_path: Path, table: str, key: str) -> None:
    named = tmp_path / "secret"
    file = write(tmp_path, f"[{table}]\n{key} = {str(named)!r}\n")
    assert problems_to_run(file) == [
        f"{file}: {table}.{key} = {str(named)!r}: No such file or directory"
    ]
    named.mkdir()
    assert "is a directory; must be a file" in problems_to_run(file)[0]
    named.rmdir()
    named.write_text("x")
    assert load_usable_settings(file)


def test_folders_are_told_when_they_must_exist(tmp_path: Path) -> None:
    file = write(tmp_path, f"[profiles]\ndirs = ['{tmp_path}/gone', '{tmp_path}/gateway.toml']\n")
    first, second = problems_to_run(file)
    assert "gone': No such file" in first
    assert "gateway.toml': is not a directory" in second


def test_device_is_told_when_two_assets_list_it(tmp_path: Path) -> None:
    text = "".join(f'[[assets]]\nname = "{n}"\ndevices = ["a", "{n}"]\n' for n in ("p", "q"))
    [problem] = problems(write(tmp_path, text))
    assert "device 'a' is listed 2 times (p, q)" in problem


def test_asset_is_told_when_its_name_is_there_twice(tmp_path: Path) -> None:
    text = "".join(f'[[assets]]\nname = "p"\ndevices = ["{n}"]\n' for n in ("a", "b"))
    [problem] = problems(write(tmp_path, text))
    assert "asset 'p' is there twice" in problem


def test_later_files_win_when_gateway_d_has_several(tmp_path: Path) -> None:
    file = write(tmp_path, "[mqtt]\nport = 1\ntick_ms = 7.0\n[store]\nmax_rows = 5000\n")
    write(tmp_path, "[mqtt]\nport = 3\n", "gateway.d/20.toml")
    write(tmp_path, "[mqtt]\nport = 2\nhost = '::1'\n", "gateway.d/10.toml")
    write(tmp_path, "[mqtt]\nport = 4\n", "gateway.d/30.toml.off")
    settings = load_settings(file)
    assert (settings.mqtt.port, settings.mqtt.tick_ms, settings.mqtt.host) == (3, 7.0, "::1")
    assert settings.store.max_rows == 5000


def test_environment_wins_over_files_and_the_command_line_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "[mqtt]\nport = 1\nhost = 'here'\ntick_ms = 5.0\n")
    monkeypatch.setenv("WEIR_MQTT__PORT", "2")
    monkeypatch.setenv("WEIR_MQTT__HOST", "there")
    settings = load_settings(file, mqtt={"port": 3})
    assert (settings.mqtt.port, settings.mqtt.host, settings.mqtt.tick_ms) == (3, "there", 5.0)


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("WEIR_MQTT__PROT", "environment WEIR_...: mqtt.prot: unknown key; did you mean 'port'?"),
        ("WEIR_MQQT__PORT", "unknown variable; did you mean 'WEIR_MQTT'?"),
    ],
)
def test_variable_is_told_when_no_key_is_meant(
    monkeypatch: pytest.MonkeyPatch, variable: str, told: str
) -> None:
    monkeypatch.setenv(variable, "1")
    [problem] = problems(None)
    assert told in problem


def test_weir_config_is_no_key_when_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_CONFIG", "/etc/weir/gateway.toml")
    assert load_settings(None)


def test_passwords_are_not_shown_when_a_url_is(tmp_path: Path) -> None:
    settings = load_settings(None, hub={"url": "tls://gw:secret@hub:7422"})
    assert settings.hub.shown_url == "tls://hub:7422"
    [problem] = problems(write(tmp_path, '[hub]\nurl = "http://gw:secret@hub"'))
    assert "secret" not in problem


def _lines() -> dict[tuple[str, str], bool]:
    """Return each (table, key) of the example, and whether its value is an example only."""
    found: dict[tuple[str, str], bool] = {}
    table = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"#?\[+(\w+)\]+", line):
            table = heading[1]
        elif key := re.match(r"#(\w+) = ", line):
            found[table, key[1]] = "# default:" in line
    return found


def _known() -> set[tuple[str, str]]:
    keys = set()
    for table, field in Settings.model_fields.items():
        annotation = field.annotation
        model = get_args(annotation)[0] if get_args(annotation) else annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        keys |= {(table, key) for key in model.model_fields}
    return keys


def test_example_names_every_key_when_compared_with_the_settings() -> None:
    assert set(_lines()) == _known()


def test_example_changes_nothing_when_used_as_it_is() -> None:
    assert load_settings(EXAMPLE) == load_settings(None)


def test_example_states_the_defaults_when_its_lines_are_commented_in(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^#(?=\[|\w+ = )", "", EXAMPLE.read_text(encoding="utf-8"))
    given = load_settings(write(tmp_path, text)).model_dump()
    defaults = load_settings(
        None,
        assets=[{"name": "x", "devices": ["y"]}],  # type: ignore[arg-type] # a list of tables
    ).model_dump()
    examples = _lines()
    for table, key in _known():
        mine, theirs = (
            d["assets"][0] if table == "assets" else d[table] for d in (given, defaults)
        )
        assert examples[table, key] == (mine[key] != theirs[key]), f"{table}.{key}"
