"""The same problem has the same address, whoever observes it."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import OutcomeContext
from gateway.outcomes.fingerprint import canonical, fingerprint
from gateway.outcomes.units import Quantity, quantity_of

CONTEXT = OutcomeContext("machine", "pump", "anomaly")
TASMOTA = (
    ("ENERGY.Power", "W"), ("ENERGY.Voltage", "V"), ("ENERGY.Factor", ""),
    ("DS18B20.Temperature", "F"),
)  # fmt: skip
SHELLY = (("temperature.tC", "°C"), ("voltage", "mV"), ("apower", "kW"))


def test_address_is_the_same_when_firmwares_name_and_scale_differently() -> None:
    assert fingerprint(CONTEXT, TASMOTA) == fingerprint(CONTEXT, SHELLY)


def test_address_is_16_characters_that_suit_a_subject() -> None:
    assert re.fullmatch(r"[a-z2-7]{16}", fingerprint(CONTEXT, TASMOTA))


def test_canonical_context_is_as_documented() -> None:
    assert canonical(CONTEXT, (("a", "W"), ("b", "°F"))) == (
        b'["machine","pump","anomaly","any",[["power","W"],["temperature","K"]]]'
    )


@pytest.mark.parametrize("other", [
    {"domain": "building"}, {"asset": "fan"}, {"kind": "leak"}, {"regime": "cold-start"},
])  # fmt: skip
def test_address_differs_when_the_problem_differs(other: dict[str, str]) -> None:
    assert fingerprint(replace(CONTEXT, **other), SHELLY) != fingerprint(CONTEXT, SHELLY)


def test_address_differs_when_another_quantity_is_observed() -> None:
    assert fingerprint(CONTEXT, (*SHELLY, ("flow", "l/min"))) != fingerprint(CONTEXT, SHELLY)


def test_address_is_the_same_when_words_differ_in_case_and_space_only() -> None:
    assert fingerprint(OutcomeContext(" Machine", "PUMP", "anomaly"), SHELLY) == fingerprint(
        CONTEXT, SHELLY
    )


def test_address_keeps_words_apart() -> None:
    assert fingerprint(OutcomeContext("ab", "c", "k"), ()) != fingerprint(
        OutcomeContext("a", "bc", "k"), ()
    )


@pytest.mark.parametrize(
    ("units", "quantity"),
    [
        (("°C", "℃", "C", "degC", "Cel", "celsius", "°F", "F", "K"), "temperature"),
        (("W", "kW", "mW", "MW", "watts", "hp", "㎾"), "power"),
        (("Wh", "kWh", "KWH", "Wmin", "J", "MJ"), "energy"),
        (("V", "mV", "volts"), "voltage"),
        (("A", "mA", "µA", "μA", "uA"), "electric current"),
        (("Pa", "hPa", "bar", "mbar", "psi", "kPa"), "pressure"),
        (("m/s²", "m/s2", "m/s^2", "g", "mg"), "acceleration"),
        (("mm/s", "m/s", "km/h", "in/s"), "speed"),
        (("m³/h", "l/min", "L/min", "ml/s"), "volume flow"),
        (("%", "%RH", "percent", "‰"), "ratio"),
        (("µg/m³", "mg/m3"), "mass concentration"),
        (("Ω", "kΩ", "Ohm", "ohm"), "resistance"),
        (("VA", "kVA"), "apparent power"),
        (("var", "VAr", "kvar"), "reactive power"),
        (("dB", "dB(A)"), "sound level"),
        (("min", "s", "ms", "h"), "time"),
        (("rpm", "RPM", "1/min"), "rotational speed"),
        (("kB", "B", "MB"), "data"),
        (("kg", "t"), "mass"),
    ],
)
def test_units_are_one_quantity_when_they_differ_by_a_factor(
    units: tuple[str, ...], quantity: str
) -> None:
    assert {q.name if (q := quantity_of(unit)) else None for unit in units} == {quantity}
    assert len({quantity_of(unit) for unit in units}) == 1


@pytest.mark.parametrize("unit", ["", " ", "1"])
def test_value_without_unit_is_no_part_of_the_address(unit: str) -> None:
    assert quantity_of(unit) is None
    assert fingerprint(CONTEXT, (*SHELLY, ("count", unit))) == fingerprint(CONTEXT, SHELLY)


def test_unknown_unit_stands_for_itself() -> None:
    assert quantity_of("furlong") == Quantity("other", "furlong")
    assert quantity_of("furlong") != quantity_of("parsec")


@given(st.permutations(TASMOTA), st.text())
def test_address_is_the_same_when_order_names_and_number_of_sensors_differ(
    quantities: list[tuple[str, str]], name: str
) -> None:
    more = (*((name + metric, unit) for metric, unit in quantities), (name, "kW"))
    assert fingerprint(CONTEXT, more) == fingerprint(CONTEXT, TASMOTA)


@given(st.text())
def test_any_text_is_taken_as_a_unit(unit: str) -> None:
    quantity = quantity_of(unit)
    assert quantity is None or all(quantity)
