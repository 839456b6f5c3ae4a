from datetime import UTC, datetime, timedelta

import pytest

from gateway.cli import text


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_500_000, "2.5 MB"), (7.2e9, "7.2 GB")],
)
def test_size_has_a_unit_when_shown(size_bytes: float, shown: str) -> None:
    assert text.size(size_bytes) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3_725, "1 h 2 min"), (90_061, "1 d 1 h")],
)
def test_span_has_two_units_when_long(seconds: float, shown: str) -> None:
    assert text.span(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(-5, "now"), (0.9, "now"), (61, "1 min 1 s ago")])
def test_ago_is_now_when_the_clock_was_set_back(seconds: float, shown: str) -> None:
    assert text.ago(seconds) == shown


@pytest.mark.parametrize(("milliseconds", "shown"), [(None, "-"), (2.345, "2.3"), (132.1, "132")])
def test_millis_have_no_more_digits_than_matter_when_shown(
    milliseconds: float | None, shown: str
) -> None:
    assert text.millis(milliseconds) == shown


def test_moment_has_a_date_when_it_was_another_day() -> None:
    now = datetime.now(UTC)
    assert text.moment(int(now.timestamp() * 1000)) == now.strftime("%H:%M:%S")
    old = now - timedelta(days=2)
    assert text.moment(old.replace(tzinfo=None).isoformat()) == old.strftime("%Y-%m-%d %H:%M:%S")


def test_stamp_has_the_day_when_it_is_today_too() -> None:
    assert text.stamp(1_700_000_000_000) == "11-14 22:13:20"
    assert text.stamp("2023-11-14T22:13:20.5") == "11-14 22:13:20"


def test_noun_is_plural_when_there_are_several() -> None:
    assert text.counted(1, "row") == "1 row"
    assert text.counted(2000, "row") == "2,000 rows"
    assert text.counted(2, "leaf", "leaves") == "2 leaves"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (21.123456, "°C", "21.123 °C"), (3.0, None, "3"), (0.0, "W", "0 W"), (-0.5, None, "-0.5"),
        (332_960.0, "kWh", "332,960 kWh"), (1_234_567.0, None, "1,234,567"),
        (332_960.7, None, "332,961"), (-99_999.96, None, "-100,000"),
        (0.00012345678, None, "0.00012346"), (1e-9, "F", "1e-09 F"), (1e300, None, "1e+300"),
        (1_790_000_000_000.0, "ms", "1,790,000,000,000 ms"),
        (True, None, "true"), (False, "", "false"), ("open\n", None, "open"),
        ("x" * 30, "W", "x" * 23 + "…"),
    ],
)  # fmt: skip
def test_value_is_as_people_write_it_when_shown(
    value: float | bool | str, unit: str | None, shown: str
) -> None:
    assert text.value(value, unit) == shown


def test_long_text_is_one_line_and_cut_when_it_is_too_long() -> None:
    assert text.one_line("a\n  b\tc", 20) == "a b c"
    assert text.one_line("x" * 30, 10) == "x" * 9 + "…"
