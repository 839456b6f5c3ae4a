"""Vectors: all that one says is compared, or it is refused."""

from pathlib import Path

import orjson
import pytest

from gateway.errors import ProfileError
from gateway.profiles import Catalog
from gateway.profiles.vectors import read_vectors, run_vectors, uncompared

PROFILE = 'title: Z\nrules:\n  - {topic: "zz/{d}", device: "${t.d}", emit: [{flatten: "=p"}]}\n'
HEAD = "- {id: a, topic: zz/d, payload: '{\"a\": 1}', source: composed, "


def differences(folder: Path, rest: str) -> tuple[str, ...]:
    (folder / "zz").mkdir()
    (folder / "zz" / "profile.yaml").write_text(PROFILE)
    file = folder / "zz" / "vectors.yaml"
    file.write_text(HEAD + rest)
    [result] = run_vectors(Catalog.load([folder], "UTC"), read_vectors(file), "UTC")
    return result.difference


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("expect: [{device: d, metric: a, value: 1, quality: bad}]}", "expect.0.quality: unknown"),
        ("expect: [{device: d, metric: a, value: 1, fport: 1}]}", "would not be compared"),
        ("expects: []}", "0.expects: unknown key"),
        ("expect: [{device: d, metric: b, value: null, unit: V}]}", "it has no unit"),
        ("rejects: any, expect: [{device: d, metric: a, value: 1}]}", "expect or rejects"),
    ],
)
def test_vector_is_refused_when_it_says_what_is_not_compared(
    tmp_path: Path, rest: str, reason: str
) -> None:
    with pytest.raises(ProfileError, match=reason):
        differences(tmp_path, rest)


def test_null_is_no_reading(tmp_path: Path) -> None:
    rest = "mode: subset, expect: [{device: d, metric: a, value: null}]}"
    assert differences(tmp_path, rest) == ("d a: 1, should be none",)


def test_reading_differs_when_a_waveform_is_expected(tmp_path: Path) -> None:
    [difference] = differences(tmp_path, "expect: [{device: d, metric: a, value: 1, fs: 50}]}")
    assert "should be a waveform" in difference


def test_table_tells_what_of_its_readings_is_not_compared(tmp_path: Path) -> None:
    reading = {"device": "d", "metric": "a", "value": None, "ts": "2022-03-18T12:55:20Z"}
    row = {
        "id": "x", "firmware": "Z", "topic": "zz/d", "payload": "{}", "payload_encoding": "utf8",
        "retained": False, "kind": "telemetry", "source": "composed", "expected_mode": "exact",
        "expected": [{**reading, "quality": "bad"}],
    }  # fmt: skip
    file = tmp_path / "table.jsonl"
    file.write_bytes(orjson.dumps(row))
    assert uncompared(file) == ["quality"]
    [vector] = read_vectors(file)
    assert vector.expect[0].time is None
