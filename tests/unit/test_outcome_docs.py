"""The document for readers of outcomes is true."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import gateway.outcomes
from gateway.model import Outcome, OutcomeContext, PluginIdentity, Result
from gateway.outcomes.fingerprint import canonical
from gateway.outcomes.packet import encode

TEXT = (Path(__file__).parents[2] / "docs" / "outcomes.md").read_text(encoding="utf-8")
SCHEMA = json.loads((Path(gateway.outcomes.__file__).parent / "packet.schema.json").read_bytes())
EXAMPLES = re.findall(r"```json\n(.*?)\n```", TEXT, re.DOTALL)
OUTCOME = Outcome(
    gateway="gw-01",
    source="pump-3",
    context=OutcomeContext("machine", "pump", "anomaly"),
    plugin=PluginIdentity("machine-anomaly", "1.0.0", "abcdef0123456789" * 4),
    quantities=(("apower", "kW"), ("temperature.tC", "°C")),
    start_ns=1_760_000_000_000_000_000,
    end_ns=1_760_000_060_000_000_000,
    result=Result("anomaly", 4.123456, 0.97, {"vibration_rms": 3.14159265, "load": 2.0}),
    received_ns=0,
)


def test_example_is_what_a_gateway_sends() -> None:
    assert EXAMPLES[0] == encode(OUTCOME).payload.decode()
    Draft202012Validator(SCHEMA).validate(json.loads(EXAMPLES[0]))


def test_fingerprint_is_as_worked_out() -> None:
    tasmota = (("ENERGY.Power", "W"), ("DS18B20.Temperature", "°F"))
    assert EXAMPLES[1] == canonical(OUTCOME.context, tasmota).decode()
    address = json.loads(EXAMPLES[0])["fp"]
    assert TEXT.count(address) == 3


@pytest.mark.parametrize("key", SCHEMA["properties"])
def test_every_field_is_explained(key: str) -> None:
    table = TEXT[TEXT.index("| field |") : TEXT.index("Times are")]
    assert f"`{key}`" in table


def test_python_sample_compiles() -> None:
    (sample,) = re.findall(r"```python\n(.*?)\n```", TEXT, re.DOTALL)
    compile(sample, "docs/outcomes.md", "exec")
