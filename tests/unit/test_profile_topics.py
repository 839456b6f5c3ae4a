"""Topic patterns, and the filters that a gateway subscribes to for them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.profiles.patterns import topic_pattern
from gateway.topics import matches


@pytest.mark.parametrize(
    ("pattern", "topic", "captures"),
    [
        ("tele/{d}/SENSOR", "tele/plug/SENSOR", {"d": "plug"}),
        ("tele/{d}/SENSOR", "tele/a b é/SENSOR", {"d": "a b é"}),
        ("tele/{d}/SENSOR", "tele//SENSOR", None),
        ("tele/{d}/SENSOR", "tele/a/b/SENSOR", None),
        ("tele/{d}/SENSOR", "tele/a/SENSOR/x", None),
        ("zigbee2mqtt/{d+}", "zigbee2mqtt/kitchen/floor", {"d": "kitchen/floor"}),
        ("zigbee2mqtt/{d+}", "zigbee2mqtt/", None),
        ("zigbee2mqtt/{d+}", "zigbee2mqtt", None),
        ("zigbee2mqtt/{d+}", "zigbee2mqtt/a//b/", {"d": "a//b/"}),
        ("{d+}/sensor/{m}/state", "a/b/sensor/t/state", {"d": "a/b", "m": "t"}),
        ("{d+}/sensor/{m}/state", "sensor/t/state", None),
        ("{_*}/{d}/tele/SENSOR", "plug/tele/SENSOR", {"d": "plug"}),
        ("{_*}/{d}/tele/SENSOR", "x/y/plug/tele/SENSOR", {"d": "plug"}),
        ("a/{x*}/b", "a/b", {"x": ""}),
        ("a/{x*}/b", "a/1/2/b", {"x": "1/2"}),
        ("a/{x*}", "a", {"x": ""}),
        ("a/{x*}", "a/1/2", {"x": "1/2"}),
        ("a/{x*}", "ab", None),
        ("{d}/status/{c}:{n}", "s/status/switch:0", {"d": "s", "c": "switch", "n": "0"}),
        ("{d}/status/{c}:{n}", "s/status/sys", None),
        ("{d}/{c:sys|wi.fi}", "s/wi.fi", {"d": "s", "c": "wi.fi"}),
        ("{d}/{c:sys|wi.fi}", "s/wixfi", None),
        ("a.b/{d}", "axb/c", None),
        ("$aws/{d}/x", "$aws/1/x", {"d": "1"}),
        ("a/{d}", "a/line\nbreak", {"d": "line\nbreak"}),
    ],
)
def test_captures_are_given_when_topic_matches(
    pattern: str, topic: str, captures: dict[str, str] | None
) -> None:
    assert topic_pattern(pattern).match(topic) == captures


@pytest.mark.parametrize(
    ("pattern", "mqtt_filter"),
    [
        ("tele/{d}/SENSOR", "tele/+/SENSOR"),
        ("a/{d}-{n}/b", "a/+/b"),
        ("zigbee2mqtt/{d+}", "zigbee2mqtt/+/#"),
        ("zigbee2mqtt/{d+}/availability", "zigbee2mqtt/#"),
        ("{d+}/status", "#"),
        ("{d+}", "#"),
        ("a/{x*}", "a/#"),
        ("{c:a|b}/x", "+/x"),
    ],
)
def test_filter_is_the_narrowest_when_mqtt_can_say_it(pattern: str, mqtt_filter: str) -> None:
    assert topic_pattern(pattern).mqtt_filter == mqtt_filter


@pytest.mark.parametrize(
    "pattern", ["", "a/#", "a/+/b", "a/{d", "a/d}", "{D}", "x{d+}", "{d+}{e}", "{d}/{d}",
                "a/{d+:x|y}", "/".join("{_}" for _ in range(9)), "x" * 5000],
)  # fmt: skip
def test_pattern_is_refused_when_malformed(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"captures|characters"):
        topic_pattern(pattern)


LEVELS = ["a", "b", "{d}", "{e+}", "{f*}", "{g:a|b}", "x{h}"]


@settings(max_examples=300)
@given(
    levels=st.lists(st.sampled_from(LEVELS), min_size=1, max_size=5, unique=True),
    topic=st.lists(st.sampled_from(["a", "b", "xa", ""]), min_size=1, max_size=5).map("/".join),
)
def test_filter_lets_a_topic_through_when_the_pattern_takes_it(
    levels: list[str], topic: str
) -> None:
    pattern = topic_pattern("/".join(levels))
    if pattern.match(topic) is not None:
        assert matches(pattern.mqtt_filter, topic)
