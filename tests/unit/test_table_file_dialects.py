"""A row of a table, said in each dialect, is read back by that firmware's own profile."""

import pytest

from gateway.cli.replay import _check_times
from gateway.cli.table_file import TableError, TableFile
from gateway.config import SHIPPED
from gateway.demo.dialects import DIALECTS
from gateway.model import RawMessage
from gateway.profiles import Catalog

ROW = {"Volume Flow RateRMS": 32.5, "Temperature": 79.25, "Current": 0.0}
TIME_NS = 1_700_000_000_123_456_000


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load([SHIPPED / "firmware_profiles"], "UTC")


@pytest.mark.parametrize("name", DIALECTS)
def test_row_is_read_back_by_its_profile_when_said_in_a_dialect(
    catalog: Catalog, name: str
) -> None:
    dialect = DIALECTS[name]
    topic, payload = dialect.message("pump-1", ROW, TIME_NS)
    decoded = catalog.decode(RawMessage(topic, payload, TIME_NS + 10**9))
    assert (decoded.profile, decoded.device) == (name, "pump-1")
    found = {reading.metric.removeprefix("TABLE."): reading for reading in decoded.readings}
    assert {metric: reading.value for metric, reading in found.items()} == ROW
    for reading in decoded.readings:
        assert reading.own_time
        assert 0 <= TIME_NS - reading.time_ns < dialect.step_s * 1e9


@pytest.mark.parametrize("name", DIALECTS)
def test_rows_have_times_of_their_own_when_as_far_apart_as_the_dialect_tells(
    catalog: Catalog, name: str
) -> None:
    dialect = DIALECTS[name]
    times = set()
    for n in range(5):
        at_ns = TIME_NS + int(n * dialect.step_s * 1e9)
        topic, payload = dialect.message("pump-1", ROW, at_ns)
        times.add(catalog.decode(RawMessage(topic, payload, at_ns)).readings[0].time_ns)
    assert len(times) == 5


@pytest.mark.parametrize(
    ("dialect", "seconds", "refused"),
    [
        ("tasmota", [0.0, 1.0, 2.0], False),
        ("tasmota", [0.0, 1.0, 1.5], True),
        ("zigbee2mqtt", [0.0, 0.1, 0.2], False),
        ("json", [0.0, 0.0], True),
        ("json", [1.0, 0.0], True),
    ],
)
def test_rows_are_refused_when_the_firmware_could_not_tell_them_apart(
    dialect: str, seconds: list[float], refused: bool
) -> None:
    table = TableFile(["a"], seconds, [[1.0]] * len(seconds))
    if refused:
        with pytest.raises(TableError, match=f"as {dialect} rows must be"):
            _check_times(table, dialect)
    else:
        _check_times(table, dialect)
