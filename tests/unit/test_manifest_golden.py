"""Golden inputs as windows, and how wrong ones are told."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import PluginError
from gateway.inference.golden import Case, load_cases
from gateway.inference.manifest import Manifest, load_manifest
from gateway.model import Channel, Result

TENSOR = """\
api = 1
name = "p"
version = "1"
title = "T"
[window]
steps = 3
max_channels = 2
[outcome]
domain = "d"
asset = "a"
kind = "k"
labels = ["normal", "anomaly"]
[threshold]
labels = [["anomaly", 1.0], ["normal", 0]]
"""
WINDOW = {"end_s": 60, "values": {"temp": [1, None, 3]}, "units": {"temp": "°C"}}
RESULT = {"label": "normal", "score": 0.5}


def manifest_with(tmp_path: Path, given: Any, expected: Any) -> Manifest:  # noqa: ANN401 - any JSON
    case = tmp_path / "p" / "testcases" / "one"
    case.mkdir(parents=True)
    (tmp_path / "p" / "plugin.toml").write_text(TENSOR, encoding="utf-8")
    (case / "input.json").write_text(json.dumps(given), encoding="utf-8")
    (case / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    return load_manifest(tmp_path / "p")


def load(tmp_path: Path, given: Any, expected: Any) -> Case:  # noqa: ANN401 - any JSON
    (case,) = load_cases(manifest_with(tmp_path, given, expected))
    return case


def test_windows_are_padded_when_channels_are_fewer(tmp_path: Path) -> None:
    state = base64.b64encode(b"\0s").decode()
    given = {"windows": [WINDOW | {"state": state}]}
    case = load(tmp_path, given, {"results": [RESULT]})
    nan = np.nan
    np.testing.assert_array_equal(case.windows.values, [[[1, nan], [nan, nan], [3, nan]]])
    assert case.windows.channels == [(Channel("temp", "°C"),)]
    assert case.states == [b"\0s"]
    assert (case.windows.start_ns[0], case.windows.end_ns[0]) == (57 * 10**9, 60 * 10**9)


@pytest.mark.parametrize(
    ("expected", "result", "difference"),
    [
        (RESULT, Result("normal", 0.5009), ""),
        (RESULT, Result("normal", 0.5011), "window 0: score is 0.5011, expected 0.5"),
        (RESULT, Result("anomaly", 0.5), "window 0: label is 'anomaly', expected 'normal'"),
        ({"suppress": True}, Result("normal", 9), "window 0: suppress is False, expected True"),
        (None, Result("anomaly", 99), ""),
    ],
)
def test_difference_is_told_when_a_result_is_not_as_expected(
    tmp_path: Path, expected: dict[str, Any] | None, result: Result, difference: str
) -> None:
    case = load(tmp_path, {"windows": [WINDOW]}, {"results": [expected]})
    assert case.difference([result]) == difference


@pytest.mark.parametrize(
    ("given", "expected", "file", "reason"),
    [
        (
            {"windows": []},
            {"results": []},
            "input.json",
            "windows: must have windows, and nothing else",
        ),
        ({"windows": [{"end_s": 1}]}, {"results": [None]}, "input.json", "must have values"),
        ({"windows": [WINDOW]}, {"results": []}, "expected.json", "0 for 1 windows"),
        ({"windows": [WINDOW]}, {"result": []}, "expected.json", "did you mean 'results'?"),
        ({"windows": [WINDOW]}, {"results": [{"label": "x"}]}, "expected.json", "'x' is not"),
        (
            {"windows": [{"end_s": 1, "values": {"temp": [1]}}]},
            {"results": [None]},
            "input.json",
            "temp has 1 values, window.steps 3",
        ),
        (
            {"windows": [WINDOW | {"state": "?"}]},
            {"results": [None]},
            "input.json",
            "is not base64",
        ),
    ],
)
def test_case_is_refused_when_it_is_wrong(
    tmp_path: Path,
    given: Any,  # noqa: ANN401 - any JSON
    expected: Any,  # noqa: ANN401 - any JSON
    file: str,
    reason: str,
) -> None:
    with pytest.raises(PluginError) as caught:
        load(tmp_path, given, expected)
    assert Path(caught.value.file).name == file
    assert reason in f"{caught.value.field}: {caught.value.reason}"


def test_case_is_refused_when_a_file_is_missing(tmp_path: Path) -> None:
    manifest = manifest_with(tmp_path, {"windows": [WINDOW]}, {"results": [None]})
    (manifest.folder / "testcases" / "one" / "expected.json").unlink()
    with pytest.raises(PluginError, match=r"expected\.json: not readable"):
        load_cases(manifest)
