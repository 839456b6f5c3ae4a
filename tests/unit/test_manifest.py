"""What a manifest may say, and how a wrong one is told."""

import hashlib
import json
import tomllib
from pathlib import Path

import duckdb
import jsonschema
import pytest

from gateway.errors import PluginError
from gateway.inference import manifest as manifest_module
from gateway.inference.manifest import load_manifest, read_model, schema
from gateway.inference.scaffold import new_plugin
from gateway.model import OutcomeContext

PUBLISHED = Path(manifest_module.__file__).with_name("plugin.schema.json")

SMALL = """\
api = 1
name = "p"
version = "1.0"
title = "T"
[outcome]
domain = "d"
asset = "a"
kind = "k"
labels = ["normal", "anomaly"]
[threshold]
labels = [["anomaly", 1.0], ["normal", 0]]
[features]
sql = "select 1"
"""


def write(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "plugin.toml").write_text(text, encoding="utf-8")
    return folder


def refused(folder: Path) -> PluginError:
    with pytest.raises(PluginError) as caught:
        load_manifest(folder)
    return caught.value


def test_defaults_hold_when_the_manifest_is_small(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, SMALL))
    assert manifest.context == OutcomeContext("d", "a", "k", "any")
    assert manifest.window_spec.sql == "select 1"
    assert manifest.window_spec.length_s == 60
    assert manifest.report.every_s == 60
    assert manifest.outcome.rank == "routine"
    assert not manifest.has_code
    assert len(manifest.identity.model_sha256) == 64


def test_length_is_that_of_the_steps_when_none_is_given(tmp_path: Path) -> None:
    text = SMALL.replace('[features]\nsql = "select 1"', "[window]\nsteps = 20\nstep_s = 0.5")
    spec = load_manifest(write(tmp_path, text)).window_spec
    assert (spec.length_s, spec.steps, spec.sql) == (10.0, 20, "")


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ("api = 1", "api = 2", "api", "2: Input should be 1"),
        ('name = "p"', 'name = "q"', "name", "must be the folder's name, 'p'"),
        ('name = "p"', 'name = "p q"', "name", "letters, digits"),
        ("[outcome]", "[outcom]", "outcome", "is required; outcom: unknown key; did you mean"),
        ('kind = "k"', 'knd = "k"', "outcome.kind", "outcome.knd: unknown key; did you mean"),
        ('kind = "k"', 'kind = "a.b"', "outcome.kind", "letters, digits"),
        ("[features]", "[window]\nhop = 2\n[features]", "window.hop", "did you mean 'hop_s'?"),
        ("[features]", "[window]\nhop_s = 0\n[features]", "window.hop_s", "greater than or equal"),
        ("[features]", "[window]\nsteps = 5\n[features]", "", "one of window.steps"),
        ('"normal", 0', '"fine", 0', "", "'fine' is not among outcome.labels"),
        ('"anomaly", 1.0', '"anomaly", -1.0', "threshold", "must descend"),
        ('"anomaly", 1.0', '"anomaly", nan', "threshold.labels.0.1", "finite"),
        ('[threshold]\nlabels = [["anomaly", 1.0], ["normal", 0]]', "", "threshold", "plugin.py"),
        ("[features]", "[limits]\nmemory_mb = 9\n[features]", "limits.memory_mb", "9: Input"),
        ("[features]", '[model]\nruntime = "torch"\n[features]', "model.runtime", "'openvino'"),
        ("[features]", '[model]\nruntime = "openvino"\n[features]', "model", "sha256 are required"),
        ("[features]", "[features", "", "not readable as TOML"),
    ],
)
def test_manifest_is_refused_when_it_is_wrong(
    tmp_path: Path, old: str, new: str, field: str, reason: str
) -> None:
    assert old in SMALL
    error = refused(write(tmp_path, SMALL.replace(old, new)))
    assert error.file == str(tmp_path / "p" / "plugin.toml")
    assert error.field == field
    assert reason in error.reason


def test_folder_is_refused_when_it_has_no_manifest(tmp_path: Path) -> None:
    assert refused(tmp_path).reason == "no such file"


def with_model(tmp_path: Path, file: str, sha256: str, runtime: str = "onnxruntime") -> Path:
    table = f'[model]\nruntime = "{runtime}"\nfile = "{file}"\nsha256 = "{sha256}"\n[features]'
    return write(tmp_path, SMALL.replace("[features]", table))


def test_model_is_read_when_its_hash_is_right(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"model").hexdigest()
    folder = with_model(tmp_path, "m.onnx", digest)
    (folder / "m.onnx").write_bytes(b"model")
    manifest = load_manifest(folder)
    assert read_model(manifest) == (b"model", b"")
    assert manifest.identity.model_sha256 == digest


def test_weights_are_hashed_too_when_the_model_is_an_ir(tmp_path: Path) -> None:
    folder = with_model(tmp_path, "m.xml", hashlib.sha256(b"<net/>bin").hexdigest(), "openvino")
    (folder / "m.xml").write_bytes(b"<net/>")
    assert "no such file: m.bin" in refused(folder).reason
    (folder / "m.bin").write_bytes(b"bin")
    assert read_model(load_manifest(folder)) == (b"<net/>", b"bin")
    (folder / "m.bin").write_bytes(b"other")
    assert refused(folder).field == "model.sha256"


def test_model_is_refused_when_it_was_changed(tmp_path: Path) -> None:
    folder = with_model(tmp_path, "m.onnx", "0" * 64)
    (folder / "m.onnx").write_bytes(b"model")
    error = refused(folder)
    assert error.field == "model.sha256"
    assert hashlib.sha256(b"model").hexdigest() in error.reason


@pytest.mark.parametrize("file", ["../m.onnx", "/etc/m.onnx", "a/../../m.onnx"])
def test_model_is_refused_when_its_path_leaves_the_folder(tmp_path: Path, file: str) -> None:
    error = refused(with_model(tmp_path, file, "0" * 64))
    assert (error.field, "inside the plugin's folder" in error.reason) == ("model.file", True)


def test_model_is_refused_when_it_is_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.onnx").write_bytes(b"model")
    folder = with_model(tmp_path, "m.onnx", hashlib.sha256(b"model").hexdigest())
    (folder / "m.onnx").symlink_to(tmp_path / "outside.onnx")
    assert "link out of the folder" in refused(folder).reason


def test_ir_is_refused_when_the_runtime_is_onnx_runtime(tmp_path: Path) -> None:
    assert "takes .onnx" in refused(with_model(tmp_path, "m.xml", "0" * 64)).reason


def test_window_is_refused_when_its_steps_reach_back_further(tmp_path: Path) -> None:
    table = "[window]\nsteps = 20\nlength_s = 10"
    error = refused(write(tmp_path, SMALL.replace('[features]\nsql = "select 1"', table)))
    assert error.reason == "steps x step_s is 20 s, longer than length_s 10.0"


def test_published_schema_is_current_when_compared() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema(), (
        "write it anew: python -c 'from gateway.inference.manifest import schema; "
        f'print(schema(), end="")\' > {PUBLISHED.name}'
    )


@pytest.mark.parametrize("code", [False, True])
def test_scaffold_is_valid_when_it_is_new(tmp_path: Path, code: bool) -> None:
    folder = new_plugin("fresh", tmp_path, code=code)
    table = tomllib.loads((folder / "plugin.toml").read_text(encoding="utf-8"))
    jsonschema.validate(table, json.loads(schema()))
    assert load_manifest(folder).has_code is code


def test_scaffold_is_refused_when_the_name_or_place_is_taken(tmp_path: Path) -> None:
    new_plugin("fresh", tmp_path)
    with pytest.raises(PluginError, match="cannot be made"):
        new_plugin("fresh", tmp_path)
    with pytest.raises(PluginError, match="letters"):
        new_plugin("../fresh", tmp_path)


def test_scaffold_sql_gives_its_features_when_duckdb_runs_it(tmp_path: Path) -> None:
    sql = load_manifest(new_plugin("fresh", tmp_path)).window_spec.sql
    rows = "(values ('p', 60, 't', '°C', 1, 20.0), ('p', 60, 't', '°C', 2, 23.0))"
    columns = "(source, end_ns, metric, unit, time_ns, value)"
    query = f'with "window" as (from {rows} as w {columns}) select spread, mean from ({sql})'  # noqa: S608 - what is tested
    assert duckdb.sql(query).fetchall() == [(3.0, 21.5)]
