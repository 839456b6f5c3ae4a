"""Log records as the journal takes them."""

import logging
import os
import sys
from pathlib import Path

import pytest

from gateway.journal import JournalHandler, encode, fields, is_journal


def record(text: str, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("gateway.leaf.leaf", level, "/x/leaf.py", 7, text, args, None, "watch")


def parse(data: bytes) -> dict[str, str]:
    """Read the protocol as journald does."""
    found: dict[str, str] = {}
    while data:
        head, _, data = data.partition(b"\n")
        key, is_short, value = head.partition(b"=")
        if not is_short:
            size, data = int.from_bytes(data[:8], "little"), data[8:]
            value, data = data[:size], data[size + 1 :]
        found[key.decode()] = value.decode()
    return found


def test_a_record_has_priority_place_and_logger_when_it_is_sent() -> None:
    found = fields(record("leaf: %s", "nats-server died (-9)"))
    assert found["MESSAGE"] == "leaf: nats-server died (-9)"
    assert found["PRIORITY"] == "4"
    assert found["LOGGER"] == "gateway.leaf.leaf"
    assert (found["CODE_FILE"], found["CODE_LINE"], found["CODE_FUNC"]) == (
        "/x/leaf.py",
        "7",
        "watch",
    )


@pytest.mark.parametrize(
    ("level", "priority"), [(10, "7"), (20, "6"), (30, "4"), (40, "3"), (50, "2")]
)
def test_priorities_are_those_of_syslog(level: int, priority: str) -> None:
    assert fields(record("x", level=level))["PRIORITY"] == priority


@pytest.mark.parametrize(
    ("text", "args", "expected"),
    [
        ("plugin %s: %s", ("anomaly", "hung"), {"PLUGIN": "anomaly"}),
        ("camera %s: streaming, %s %dx%d%s", ("gate", "h264", 1, 2, ""), {"CAMERA": "gate"}),
        ("%.1f %% of device %s, plugin %s", (1.5, "d-1", "p"), {"DEVICE": "d-1", "PLUGIN": "p"}),
        ("%s: taken by profile %s; %s claims it", ("t/1", "a", "b"), {"PROFILE": "a"}),
        ("plugin set aside: %s", ("broken",), {}),
        ("no arguments: plugin %s", (), {}),
    ],
)
def test_what_a_record_speaks_of_is_a_field_when_its_text_names_it(
    text: str, args: tuple[object, ...], expected: dict[str, str]
) -> None:
    found = fields(record(text, *args))
    assert {
        k: found[k] for k in found if k in {"PLUGIN", "CAMERA", "DEVICE", "PROFILE"}
    } == expected


def test_a_line_break_begins_no_field_when_a_value_has_one() -> None:
    pairs = {
        "MESSAGE": "topic a\nPRIORITY=0\n\nb",
        "PRIORITY": "4",
        "THREAD_NAME": "",
        "LOGGER": "é",
    }
    assert parse(encode(pairs)) == {k: v for k, v in pairs.items() if v}


def test_a_surrogate_does_not_end_the_logging_when_a_path_holds_one() -> None:
    assert parse(encode({"MESSAGE": "folder \udcff\ud800"})) == {"MESSAGE": "folder \\udcff\\ud800"}


def test_a_traceback_is_in_the_message_when_there_is_one() -> None:
    try:
        int("bad")
    except ValueError:
        failed = logging.LogRecord("a", 40, "/x", 1, "x failed", (), sys.exc_info())
    assert fields(failed)["MESSAGE"].startswith("x failed\nTraceback")


def test_records_go_to_standard_error_when_the_journal_is_away(tmp_path: Path) -> None:
    kept: list[logging.LogRecord] = []
    otherwise = logging.Handler()
    otherwise.emit = kept.append  # type: ignore[method-assign,assignment] # to see what comes
    handler = JournalHandler(str(tmp_path / "none"), "weir", otherwise)
    handler.emit(record("here"))
    handler.close()
    assert [each.getMessage() for each in kept] == ["here"]


def test_the_journal_is_used_only_when_standard_error_is_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        here = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(stream.fileno(), here)
        assert not is_journal(stream.fileno(), {"JOURNAL_STREAM": f"{found.st_dev}:1"})
        assert not is_journal(stream.fileno(), {})
