"""Every plugin: the shipped ones and the tests' own pass their own test in a real worker."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from gateway.config import SHIPPED
from gateway.errors import PluginError
from gateway.inference.manifest import load_manifest
from gateway.inference.scaffold import check_plugin, new_plugin
from tests.plugins.samples import PLUGINS, dense_model

WRONG = PLUGINS / "wrong-manifest"
NEEDS_MODEL = PLUGINS / "person-line"
"""Its model is real data beside the project; tests/integration put it in."""
FOLDERS = sorted(
    {m.parent for d in (SHIPPED / "plugins", PLUGINS) for m in d.glob("*/plugin.toml")}
)


@pytest.mark.parametrize(
    "folder", [f for f in FOLDERS if f not in {WRONG, NEEDS_MODEL}], ids=lambda f: f.name
)
async def test_plugin_passes_its_own_test_when_run_in_a_worker(folder: Path) -> None:
    report = await check_plugin(folder)
    assert report.ok, (report.cases, report.log)


def test_anomalies_are_alarms_and_counts_are_not() -> None:
    ranks = {f.name: load_manifest(f).outcome.rank for f in (SHIPPED / "plugins").iterdir()}
    assert ranks == {"machine-anomaly": "alarm", "people-flow": "routine"}


@pytest.mark.parametrize("code", [False, True])
async def test_scaffold_passes_its_own_test_when_it_is_new(tmp_path: Path, code: bool) -> None:
    report = await check_plugin(new_plugin("fresh", tmp_path, code=code))
    assert report.cases == {"jump": "", "steady": ""}


async def test_report_tells_each_case_when_one_fails(tmp_path: Path) -> None:
    folder = new_plugin("fresh", tmp_path)
    file = folder / "testcases" / "jump" / "expected.json"
    file.write_text(file.read_text(encoding="utf-8").replace("anomaly", "normal"), encoding="utf-8")
    report = await check_plugin(folder)
    assert not report.ok
    assert report.cases == {
        "jump": "window 0: label is 'anomaly', expected 'normal'",
        "steady": "",
    }


def test_plugin_is_refused_with_the_key_when_its_manifest_is_wrong() -> None:
    with pytest.raises(PluginError) as caught:
        load_manifest(WRONG)
    assert caught.value.field == "limits.memroy_mb"
    assert caught.value.reason == "unknown key; did you mean 'memory_mb'?"


def documented(language: str) -> list[str]:
    text = (SHIPPED / "docs" / "plugins.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("code", [False, True])
async def test_documented_plugin_runs_when_its_model_is_there(
    tmp_path: Path, runtime: str, code: bool
) -> None:
    (text,) = documented("toml")
    folder = tmp_path / "pump-wear"
    folder.mkdir()
    model = dense_model(60, 3)
    (folder / "model.onnx").write_bytes(model)
    text = text.replace("0" * 64, hashlib.sha256(model).hexdigest())
    text = text.replace('"openvino"', f'"{runtime}"', 1)
    (folder / "plugin.toml").write_text(text, encoding="utf-8")
    if code:
        (folder / "plugin.py").write_text(documented("python")[0], encoding="utf-8")
    case = folder / "testcases" / "still"
    case.mkdir(parents=True)
    values = {"temp": [0.0] * 60, "vib": [None] * 60}
    (case / "input.json").write_text(json.dumps({"windows": [{"end_s": 60, "values": values}]}))
    (case / "expected.json").write_text(
        json.dumps({"results": [{"label": "normal", "score": 0.0}]})
    )
    report = await check_plugin(folder)
    assert report.ok, report
