import io
from collections import deque

import pytest
from rich.console import Console

from gateway.demo.show import Scene, sums_problem
from gateway.demo.view import headline, picture
from gateway.outcomes.packet import decode
from gateway.outcomes.reader import Told
from tests.nats_servers import packet

STATUS = {
    "messages": {"received": 1234, "dead_letters": {}, "duplicates": 0, "shed": 0},
    "readings": {"stored": 5678},
    "outcomes": {"sent": 12, "queued": 4},
    "latency_ms": {"total": {"p50": 2.34, "p95": 9.87}},
    "hub": {"up": True},
    "cameras": {"cameras": [
        {"name": "[hall]", "state": "streaming", "codec": "jpeg", "taken": 321},
    ]},
    "plugins": [
        {
            "name": "machine-anomaly", "version": "1.0.0", "healthy": False, "windows": 1000,
            "state": "backing_off", "latency_p50_ms": None, "latency_p95_ms": 1.5,
            "rss_bytes": 75e6, "trouble": "", "reason": "took [too] long",
        }
    ],
}  # fmt: skip
REPORT = {
    "published": 10, "received": 10, "stored_messages": 8, "duplicates": 1, "dead_letters": 1,
    "shed": 0, "outcomes": 5, "at_hub": 4, "queued": 1, "packet_bytes_max": 412,
}  # fmt: skip


def scene(outcomes: int = 3) -> Scene:
    made = Scene(status=STATUS, queue=deque([0, 1, 4]), at_hub=8)
    made.devices = [
        {
            "device": f"[red]device-{n}",
            "profile": "json",
            "messages": 100,
            "readings": [
                {"metric": "dull", "value": 1.0, "unit": None},
                {"metric": "temperature", "value": 21.5, "unit": "°C"},
            ],
        }
        for n in range(6)
    ]
    content = decode(packet(1).payload)
    made.outcomes = [Told(content, 412, n % 2 == 0, n) for n in range(outcomes)]
    return made


def drawn(of: Scene, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(picture(of, width, height))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (150, 50)])
def test_picture_fits_the_screen_when_there_is_much_to_show(width: int, height: int) -> None:
    lines = drawn(scene(outcomes=40), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    beside = 21 if height == 24 else 24  # a small screen has the plugins in a line
    assert sum("pump-1" in line for line in lines) == height - beside
    assert any("[hall]" in line and "321" in line for line in lines)
    assert lines[-1].startswith("Ctrl-C")


def test_what_flows_is_shown_in_numbers_when_it_does() -> None:
    text = "\n".join(drawn(scene(), 120, 40))
    for number in ("1,234", "5,678 readings stay here", "2.3", "9.9", "▁▃█"):
        assert number in text
    assert "[red]device-3" in text
    assert "temperature 21.5 °C  dull 1" in text
    assert "backing off" in text
    assert "took [too] long" in text
    assert "late" in text


@pytest.mark.parametrize(
    ("link", "style"), [("up", "bold"), ("cut", "white on red"), ("back", "white on green")]
)
def test_headline_is_loud_when_the_link_is_cut(link: str, style: str) -> None:
    of = Scene(said="something", link=link)  # type: ignore[arg-type] # one of the three
    assert "something" in headline(of).plain
    assert style in str(headline(of).style)


def test_link_is_not_called_up_when_it_was_cut() -> None:
    of = scene()
    of.link = "cut"
    assert any(" CUT " in line for line in drawn(of, 100, 30))


def test_starting_is_shown_when_there_is_no_status_yet() -> None:
    assert "starting hub and gateway" in drawn(Scene(), 80, 24)[0]


def test_sums_add_up_when_every_message_has_ended() -> None:
    assert sums_problem(REPORT) == ""


@pytest.mark.parametrize(
    ("key", "number", "told"),
    [
        ("published", 11, "11 published, 10 received"),
        ("shed", 1, "10 received, 11 ended"),
        ("at_hub", 3, "5 outcomes, 3 at the hub, 1 queued"),
        ("packet_bytes_max", 513, "a packet of 513 bytes"),
    ],
)
def test_what_does_not_add_up_is_told_when_there_is_something(
    key: str, number: int, told: str
) -> None:
    assert told in sums_problem({**REPORT, key: number})
