"""When a message says that it was measured."""

from datetime import UTC, datetime

import pytest

from gateway.errors import ConfigError
from gateway.profiles.expressions import expression
from gateway.profiles.times import TimeSource, clock, reader, site_zone

NOW_NS = 1_800_000_000 * 10**9  # 2027-01-15T08:00:00Z
BERLIN = site_zone("Europe/Berlin")


def utc_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("form", "value", "time_ns"),
    [
        ("unix", 1_700_000_000, 1_700_000_000 * 10**9),
        ("unix", 1669541352.21, 1_669_541_352_210_000_000),
        ("unix", "1700000000", 1_700_000_000 * 10**9),
        ("unix", True, None),
        ("unix", "soon", None),
        ("unix", None, None),
        ("unix", float("nan"), None),
        ("unix", float("inf"), None),
        ("unix", -5, None),
        ("unix_ms", 1_700_000_000_123, 1_700_000_000_123 * 10**6),
        ("unix_us", 1_700_000_000_123_456, 1_700_000_000_123_456 * 10**3),
        ("unix_ns", 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        ("auto", 1_700_000_000, 1_700_000_000 * 10**9),
        ("auto", 1_700_000_000_123, 1_700_000_000_123 * 10**6),
        ("auto", 1_700_000_000_123_456, 1_700_000_000_123_456 * 10**3),
        ("auto", 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        ("auto", "2023-11-14T22:13:20Z", 1_700_000_000 * 10**9),
        ("auto", "1700000000.5", 1_700_000_000_500_000_000),
        ("iso", "2023-11-14T22:13:20+00:00", 1_700_000_000 * 10**9),
        ("iso", "2023-11-14T23:13:20", 1_700_000_000 * 10**9),
        ("iso", "2022-03-18T12:55:20.9313098Z", 1_647_608_120_931_309_800),
        ("iso", "2021-06-27T15:03:44+02:00", 1_624_799_024 * 10**9),
        ("iso", "yesterday", None),
        ("iso", 1_700_000_000, None),
        ("iso", "0001-01-01T00:00:00+14:00", -62135647200 * 10**9),
        ("local", "2023-11-14T23:13:20Z", 1_700_000_000 * 10**9),
    ],
)
def test_time_is_read_when_written_in_its_form(
    form: str, value: object, time_ns: int | None
) -> None:
    assert reader(form, None, BERLIN)(value, NOW_NS) == time_ns


def test_time_is_read_when_a_format_is_given() -> None:
    read = reader("local", "%d.%m.%Y %H:%M", BERLIN)
    assert read("14.11.2023 23:13", NOW_NS) == (1_700_000_000 - 20) * 10**9
    assert read("2023-11-14", NOW_NS) is None


@pytest.mark.parametrize(
    ("received", "expected"),
    [("2024-10-27T00:30:01", "2024-10-27T00:30:00"), ("2024-10-27T01:30:01", "2024-10-27T01:30:00"),
     ("2024-10-27T09:00:00", "2024-10-27T01:30:00")],
)  # fmt: skip
def test_hour_that_comes_twice_is_told_apart_when_summer_time_ends(
    received: str, expected: str
) -> None:
    assert reader("iso", None, BERLIN)("2024-10-27T02:30:00", utc_ns(received)) == utc_ns(expected)


@pytest.mark.parametrize(
    ("payload", "time_ns"),
    [
        ({"a": 1_700_000_000, "b": 1_600_000_000}, 1_700_000_000 * 10**9),
        ({"a": 4711, "b": 1_600_000_000}, 1_600_000_000 * 10**9),
        ({"a": 946_684_799, "b": 1_600_000_000}, 1_600_000_000 * 10**9),
        ({"a": 946_684_800}, 946_684_800 * 10**9),
        ({"a": 1_800_000_600}, 1_800_000_600 * 10**9),
        ({"a": 1_800_000_601}, None),
        ({"a": "soon", "b": "later"}, None),
        ({}, None),
    ],
)
def test_next_source_is_asked_when_a_time_is_implausible(
    payload: dict[str, object], time_ns: int | None
) -> None:
    read = reader("unix", None, UTC)
    tell = clock([TimeSource(expression(f"p.{key}"), read) for key in "ab"])
    assert tell is not None
    assert tell({"t": {}, "p": payload}, NOW_NS) == time_ns


def test_zone_is_refused_when_there_is_none_of_that_name() -> None:
    with pytest.raises(ConfigError, match="Europe/Berlin"):
        site_zone("Mars/Olympus")
