import copy
import io
from typing import Any

import pytest
from rich.console import Console

from gateway.cli.overview import parts

WELL: dict[str, Any] = {
    "gateway": "gw-01", "version": "1.0", "ready": True, "uptime_s": 61.0,
    "broker": {"url": "mqtt://b:1883", "connected": True, "reason": ""},
    "messages": {
        "received": 10, "stored": 8, "duplicates": 1, "dead_letters": {}, "shed": 0, "too_old": 0,
        "quarantined": 0, "in_hand": 1, "bad_parts": {},
    },
    "readings": {
        "stored": 24, "too_old": 0, "oldest": {"device": "[d]", "age_s": 345_600.0},
        "kept_s": 86_400.0,
    },
    "devices": 2, "store": {"bytes": 1500},
    "outcomes": {"sent": 3, "queued": 0, "queued_bytes": 0, "oldest_s": 0.0, "refused": 0},
    "hub": {"url": "tls://hub:7422", "up": True, "forwarded": 3, "reason": ""},
    "latency_ms": {"total": {"p50": 3.21, "p95": 12.3}},
    "leaf": {"ready": True, "link": True, "rss_bytes": 15e6, "restarts": 0},
    "metrics": "http://127.0.0.1:9108/metrics",
    "plugins": [
        {
            "name": "watch", "version": "1.2", "healthy": True, "state": "healthy", "reason": "",
            "trouble": "", "windows": 5, "skipped": 0, "latency_p95_ms": 1.5, "rss_bytes": 75e6,
            "restarts": 0,
        }
    ],
    "noisy": [], "silent": [], "cameras": {"cameras": [], "set_aside": []},
    "plugins_set_aside": [], "profiles": {"loaded": 6, "set_aside": []},
}  # fmt: skip


def shown(width: int = 100, **changed: Any) -> str:  # noqa: ANN401 - any JSON
    document = copy.deepcopy(WELL)
    for path, value in changed.items():
        *tables, key = path.split("__")
        inner: Any = document
        for table in tables:
            inner = inner[int(table)] if isinstance(inner, list) else inner[table]
        inner[key] = value
    console = Console(width=width, file=io.StringIO(), highlight=False)
    with console.capture() as captured:
        for part in parts(document):
            console.print(part)
    return captured.get()


def test_all_is_told_in_few_lines_when_all_is_well() -> None:
    text = shown(80)
    assert "= 8 stored + 1 duplicate + 0 dead letters + 0 shed + 1 in hand" in text
    assert "tls://hub:7422, up, 3 brought over" in text
    assert "p50 3.2 ms, p95 12.3 ms" in text
    assert "watch 1.2  healthy" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "away" not in text
    assert "set aside" not in text


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ready": False}, "not ready"),
        ({"broker__connected": False, "broker__reason": "b: [refused]"}, "away: b: [refused]"),
        ({"messages__dead_letters": {"bad_json": 2}}, "dead letters: bad_json 2"),
        ({"messages__too_old": 2}, "0 shed + 2 too old"),
        ({"messages__quarantined": 2}, "0 shed + 2 quarantined"),
        (
            {
                "noisy": [
                    {
                        "device": "[plug]",
                        "state": "limited",
                        "why": "noise",
                        "rate_hz": 4980.4,
                        "usual_hz": 5.0,
                        "shed": 12_000,
                    }
                ]
            },
            "[plug] is limited: too loud, 4,980/s, usually 5; 12,000 shed",
        ),
        ({"silent": ["[a]", "b", "c", "d", "e"]}, "silent: [a], b, c and 2 more"),
        ({"messages__bad_parts": {"influx": 3}}, "left out of stored messages: influx 3"),
        (
            {"readings__too_old": 2},
            "too old: 2 readings, the oldest of device [d] by 3 d; retention is 24 h",
        ),
        (
            {
                "cameras__cameras": [
                    {
                        "name": "hall",
                        "state": "backing_off",
                        "taken": 1200,
                        "reason": "refused [it]",
                    }
                ]
            },
            "1 backing off; 1,200 frames looked at",
        ),
        (
            {
                "cameras__cameras": [
                    {
                        "name": "hall",
                        "state": "backing_off",
                        "taken": 1200,
                        "reason": "refused [it]",
                    }
                ]
            },
            "camera hall: refused [it]",
        ),
        ({"cameras__set_aside": ["gate.toml: url"]}, "camera set aside gate.toml: url"),
        ({"hub__up": False, "hub__reason": "no link"}, "away: no link; outcomes wait here"),
        ({"hub__url": ""}, "outcomes are kept until [hub] url is"),
        (
            {"outcomes__queued": 7, "outcomes__oldest_s": 90},
            "7 wait for the hub (0 B, the oldest 1 m",
        ),
        ({"outcomes__refused": 2}, "2 refused"),
        ({"leaf__ready": False}, "does not answer"),
        ({"leaf__link": False}, "link down"),
        ({"plugins__0__trouble": "[x] failed"}, "watch: [x] failed"),
        ({"plugins__0__healthy": False, "plugins__0__reason": "hangs"}, "watch: hangs"),
        ({"plugins__0__state": "backing_off"}, "backing off"),
        ({"plugins__0__skipped": 1}, "1 window or frame skipped"),
        ({"plugins": []}, "no plugin runs"),
        ({"plugins_set_aside": ["[a]/plugin.toml: x"]}, "plugin set aside [a]/plugin.toml: x"),
        ({"profiles__set_aside": ["p.yaml: y"]}, "profile set aside p.yaml: y"),
    ],
)
def test_what_is_unwell_is_told_with_the_reason_when_something_is(
    changed: dict[str, Any], told: str
) -> None:
    assert told not in shown()
    assert told in shown(**changed)


def test_nothing_is_told_of_latency_when_there_was_no_outcome() -> None:
    assert "p95" not in shown(latency_ms__total={}).split("plugin")[0]


def test_clock_is_told_when_it_is_wrong() -> None:
    assert "clock" not in shown()
    assert "unset" in shown(clock={"standing": "unset", "system_ahead_s": -3e7})
    assert "-3,600 s" in shown(clock={"standing": "ok", "system_ahead_s": -3600.0})
