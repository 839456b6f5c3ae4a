"""A device's own topics, from its profile's patterns."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.errors import AccessError
from gateway.access.register import Device, check, render_acl
from gateway.access.topics import compact, overlap, own_filters, problem
from gateway.cli.device_topics import Dialect
from gateway.config import SHIPPED
from gateway.errors import ConfigError
from gateway.profiles.folders import find
from gateway.topics import matches

PROFILES = [SHIPPED / "firmware_profiles"]


@pytest.mark.parametrize(
    ("pattern", "filters"),
    [
        ("tele/{d}/SENSOR", ["tele/plug/SENSOR"]),
        ("tele/{d}/{_}", ["tele/plug/+"]),
        ("stat/{d}/POWER{n}", ["stat/plug/+"]),
        ("shellies/{d}/{m+}", ["shellies/plug/#"]),
        ("zigbee2mqtt/{d+}", ["zigbee2mqtt/plug/#"]),
        ("{d+}/status/{c}:{n}", ["plug/status/+"]),
        ("{_*}/{d}/tele/LWT", ["plug/tele/LWT"]),
        ("{_:s|t}/us/{d}", ["s/us/plug", "t/us/plug"]),
        ("{_}/{d}/LWT", []),  # below another one's name
        ("a/{_+}/{d}/LWT", []),
        ("a/{x}y/{d}", []),
        ("v2/{d:weather|weewx}", []),
        ("v2/{d:weather|plug}", ["v2/plug"]),
        ("tasmota/discovery/{_}/config", []),  # the payload says whose it is
        ("tele/d/SENSOR", []),
    ],
)
def test_filters_speak_of_one_device_alone(pattern: str, filters: list[str]) -> None:
    assert own_filters(pattern, "d", "plug") == filters


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("+/b", "a/+", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a", False),
        ("a/b/#", "a/c/#", False),
        ("+/b/#", "a/c", False),
    ],
)
def test_overlap_is_seen_from_either_side(one: str, other: str, both: bool) -> None:
    assert overlap(one, other) is both
    assert overlap(other, one) is both


levels = st.lists(st.sampled_from(["a", "b", "+"]), min_size=1, max_size=4)
filters = st.builds(lambda some, end: "/".join([*some, *end]), levels, st.sampled_from([[], ["#"]]))
topics = st.builds("/".join, st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5))


@given(filters, filters, topics)
def test_filters_overlap_when_one_topic_matches_both(one: str, other: str, topic: str) -> None:
    if matches(one, topic) and matches(other, topic):
        assert overlap(one, other)


@pytest.mark.parametrize(
    "topic_filter",
    ["", "#", "+/a", "a/#/b", "a/b+", "$SYS/#", "$share/g/a", "$CONTROL/x", "outcomes/#",
     "outcomes", "a\nuser weir-gateway", " a", "a ", "a/\x00"],
)  # fmt: skip
def test_filter_is_refused_when_no_device_may_own_it(topic_filter: str) -> None:
    assert problem(topic_filter)


@pytest.mark.parametrize("name", sorted(find(PROFILES)))
def test_no_shipped_profile_lets_two_devices_overlap(name: str) -> None:
    try:
        one, two = (Dialect(name, PROFILES).topics_of(each) for each in ("dev-1", "dev-2"))
    except ConfigError:
        return  # it names no topics of one device: the operator says them
    known = {"dev-1": Device("dev-1", name, one.own, one.reads)}
    check(known["dev-1"], {})
    if one.own != two.own:  # a bridge has all of its root
        check(Device("dev-2", name, two.own, two.reads), known)


def device(name: str, *own: str, reads: tuple[str, ...] = ()) -> Device:
    return Device(name, "", own, reads)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (device("plug-1", "x/#"), "is there already"),
        (device("weir-gateway", "x/#"), "the gateway's own"),
        (device("a:b", "x/#"), "a name has"),
        (device("a\nb", "x/#"), "a name has"),
        (device("../a", "x/#"), "a name has"),
        (device("x", "tele/#"), "overlap"),
        (device("x", "+/plug-1/#"), "fixed level"),
        (device("x", "tele/+/SENSOR"), "overlap"),
        (device("x"), "no topic"),
        (device("x", reads=("#",)), "fixed level"),
        (device("x", reads=("$SYS/#",)), "broker's own"),
    ],
)
def test_device_is_refused_when_it_could_pass_for_another(made: Device, says: str) -> None:
    with pytest.raises(AccessError, match=re.escape(says)):
        check(made, {"plug-1": device("plug-1", "tele/plug-1/#")})


def test_panel_may_read_outcomes_and_write_nothing_when_that_is_all_it_asks_for() -> None:
    panel = device("panel", reads=("outcomes/#",))
    check(panel, {})
    assert render_acl([panel]).endswith("user panel\ntopic read outcomes/#\n")


def test_gateway_reads_a_dollar_root_when_a_device_has_one() -> None:
    text = render_acl([device("thing", "$aws/things/thing/#")])
    assert "topic read $aws/#" in text.partition("user thing")[0]


def test_covered_filters_are_left_out() -> None:
    assert compact(["a/b", "a/#", "c"]) == ("a/#", "c")


def test_profile_is_named_when_there_is_none_of_that_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tasmota'"):
        Dialect("tasmotta", [Path(PROFILES[0])])
