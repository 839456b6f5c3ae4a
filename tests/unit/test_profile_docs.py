"""What docs/profiles.md says is true: its samples load and decode, and it names every key."""

import re
import struct
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.model import RawMessage
from gateway.profiles import Catalog, schema
from gateway.profiles.codecs import CODECS
from gateway.profiles.codecs.waveform import Header
from gateway.profiles.functions import Functions
from gateway.profiles.schema import json_schema
from gateway.profiles.vectors import Expected, Vector, read_vectors, run_vectors

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "profiles.md").read_text()
SAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
NOW_NS = 1_800_000_000 * 10**9


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    profiles = [sample for sample in SAMPLES if sample.startswith("title:")]
    assert len(profiles) == 4
    for i, sample in enumerate(profiles):
        (tmp_path / f"p{i}").mkdir()
        (tmp_path / f"p{i}" / "profile.yaml").write_text(sample)
    loaded = Catalog.load([tmp_path], "UTC")
    assert loaded.rejected == []
    return loaded


def test_vectors_pass_when_they_are_the_documentations(catalog: Catalog, tmp_path: Path) -> None:
    [sample] = [sample for sample in SAMPLES if sample.startswith("- id:")]
    (tmp_path / "vectors.yaml").write_text(sample)
    vectors = read_vectors(tmp_path / "vectors.yaml")
    assert len(vectors) == 3
    assert [r.difference for r in run_vectors(catalog, vectors, "UTC")] == [()] * 3


def test_waveform_decodes_when_sample_is_the_documentations(catalog: Catalog) -> None:
    payload = struct.pack(">IH4h", 1_700_000_000, 500, 1000, -1000, 2000, -2000)
    x, y = catalog.decode(RawMessage("shaker/s1/raw", payload, NOW_NS)).waveforms
    assert x.samples.tolist() == [1, 2]
    assert y.samples.tolist() == [-1, -2]
    assert (x.device, x.metric, x.unit, x.rate_hz) == ("s1", "acc.x", "g", 500)
    assert x.time_ns == 1_700_000_000 * 10**9


def test_each_device_has_its_name_and_time_when_one_message_tells_several(catalog: Catalog) -> None:
    payload = (
        b'{"list": [{"mac": "A", "seen": 1700000000500, "rssi": -60, "mV": 2900},'
        b' {"mac": "B", "rssi": -70}, {"mac": "C", "rssi": -95}]}'
    )
    decoded = catalog.decode(RawMessage("bridge/hall/beacons", payload, NOW_NS))
    assert decoded.device == "hall"
    assert decoded.readings == [
        ("hall/A", "rssi", -60, "dBm", 1_700_000_000_500 * 10**6, True),
        ("hall/A", "mV", 2.9, "V", 1_700_000_000_500 * 10**6, True),
        ("hall/B", "rssi", -70, "dBm", NOW_NS, False),
    ]


def test_recipe_holds_when_a_value_is_an_array_or_the_payload_a_bare_word(
    catalog: Catalog,
) -> None:
    def said(payload: bytes) -> list[tuple[str, object]]:
        readings = catalog.decode(RawMessage("aircon/hall", payload, NOW_NS)).readings
        return [(reading.metric, reading.value) for reading in readings]

    assert said(b"false") == [("$online", False)]
    assert said(b'{"temp": 21, "mode": "C"}') == [("$online", True), ("temp", 21), ("mode", "C")]
    assert said(b'{"temp": [20, 21, 22]}') == [
        ("$online", True), ("temp.min", 20), ("temp", 21), ("temp.max", 22),
    ]  # fmt: skip


def keys() -> set[str]:
    models = [m for m in vars(schema).values() if isinstance(m, type) and issubclass(m, BaseModel)]
    models += [*CODECS.values(), Header, Vector, Expected]
    found = {field.alias or name for m in models for name, field in m.model_fields.items()}
    own = {name for name in vars(Functions) if name.startswith("_func_")}
    return (found | {name.removeprefix("_func_") for name in own} | set(CODECS)) - {
        "firmware",
        "name",
    }


@pytest.mark.parametrize("key", sorted(keys()))
def test_key_is_documented_when_it_exists(key: str) -> None:
    assert re.search(rf"`[^`]*\b{re.escape(key)}\b[^`]*`", TEXT)


def test_published_schema_is_up_to_date_when_the_models_change() -> None:
    file = ROOT / "gateway" / "profiles" / "profile.schema.json"
    assert file.read_bytes() == json_schema(), "run: python -m gateway.profiles"
