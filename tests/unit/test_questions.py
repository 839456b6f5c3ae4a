"""What a person reads of devices, unknown topics and dead letters."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gateway.cli import questions
from gateway.config import load_settings

Document = dict[str, Any]


def shown(part: object) -> str:
    console = Console(width=160, file=io.StringIO(), highlight=False)
    with console.capture() as captured:
        console.print(part)
    return captured.get()


def device(
    by: str, *, online: bool, silent_s: float = 5.0, readings: Document | None = None
) -> Document:
    return {
        "device": "d", "online": online, "online_by": by, "parent": "hub", "profile": "p",
        "noisy": None,
        "source": "d", "messages": 1, "last_seen_ns": time.time_ns() - int(silent_s * 1e9),
        "readings": [{"metric": m, "value": v, "unit": None} for m, v in (readings or {}).items()],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("by", "online", "told"),
    [
        ("own word", True, "yes"), ("own word", False, "no (own word)"),
        ("parent", False, "no (hub is away)"), ("expiry", True, "heard"), ("age", True, "heard"),
        ("revoked", False, "no (revoked)"),
        ("expiry", False, "silent 12 min"), ("age", False, "silent 12 min"),
    ],
)  # fmt: skip
def test_device_is_there_or_not_by_what_says_so_when_listed(
    by: str, online: bool, told: str
) -> None:
    text = shown(questions._devices([device(by, online=online, silent_s=720.5)]))
    assert told in text
    assert "12 min ago" in text


def test_measured_values_come_before_reserved_ones_when_there_are_many() -> None:
    readings = {"$event": "x", "$online": True, "power": 332_960.0, "state": "open", "on": False}
    text = shown(questions._devices([device("own word", online=True, readings=readings)]))
    assert "power 332,960, state open, on false and 1 more" in text


@pytest.mark.parametrize(
    ("letter", "why"),
    [
        ({"reason": "unclaimed", "detail": "any/topic"}, "see weir devices --unknown"),
        ({"reason": "partly", "detail": "1 of 3 lines: x"}, "stored without 1 of 3 lines: x"),
        ({"reason": "bad_json", "detail": "bad_json: at 0"}, "bad_json: at 0"),
        ({"reason": "bad_json", "detail": ""}, "bad_json"),
    ],
)
def test_dead_letter_says_what_helps_when_listed(letter: Document, why: str) -> None:
    assert why in questions._why(letter)


def test_nearest_profiles_are_told_with_the_reason_when_a_topic_is_unknown(tmp_path: Path) -> None:
    chosen = load_settings(None, gateway={"state_dir": str(tmp_path)})
    found = [
        {"topic": topic, "messages": 3, "last_ns": 0, "sample": "s", "payload": payload.hex()}
        for topic, payload in {"tele/plug/SENSORS": b'{"ENERGY":{"Power":1}}', "zz": b"?"}.items()
    ]
    questions._add_nearest(found, chosen)
    first, second = found
    assert "tasmota" in [near["profile"] for near in first["nearest"]]  # type: ignore[attr-defined]
    assert second["nearest"] == []
    assert "payload" not in first
    text = shown(questions._unclaimed(found))
    assert "tasmota: topic: " in text
    assert "none" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("status", "unknown", "told"),
    [
        ((0, True, True), True, "no message has come since the start"),
        ((0, False, True), True, "the broker is away: [x] refused"),
        ((5, True, True), True, "every topic seen is claimed"),
        ((5, True, False), True, '[mqtt] topics = ["#"]'),
        ((5, True, True), False, "no device has spoken yet"),
    ],
)
def test_reason_is_told_when_there_is_nothing_to_list(
    monkeypatch: pytest.MonkeyPatch, status: tuple[int, bool, bool], unknown: bool, told: str
) -> None:
    received, connected, takes_all = status
    document = {
        "messages": {"received": received},
        "broker": {"connected": connected, "reason": "[x] refused", "takes_all": takes_all},
    }
    monkeypatch.setattr(questions, "ask", lambda *_: document)
    assert told in shown(questions._nothing(Path("socket"), unknown=unknown))
