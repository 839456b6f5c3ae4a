import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.topics import covers, matches, outcome_subject, smallest_cover, token

_LEVELS = st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=4)
_FILTERS = st.tuples(_LEVELS, st.booleans()).map(
    lambda made: "/".join([*made[0], "#"] if made[1] else made[0])
)
_TOPICS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "match"),
    [
        ("sport/tennis/#", "sport/tennis", True),  # MQTT 5.0, section 4.7.1.2
        ("sport/tennis/#", "sport/tennis/p1/ranking", True),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/load", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
        ("a/b", "a/b/c", False),
        ("a/b", "A/b", False),
    ],
)
def test_filter_matches_as_the_standard_says_when_asked(
    topic_filter: str, topic: str, match: bool
) -> None:
    assert matches(topic_filter, topic) is match


@given(wide=_FILTERS, narrow=_FILTERS, topic=_TOPICS)
def test_what_the_narrow_matches_the_wide_does_when_it_covers(
    wide: str, narrow: str, topic: str
) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@given(filters=st.lists(_FILTERS, max_size=5), topic=_TOPICS)
def test_cover_matches_what_the_filters_did_when_it_is_smaller(
    filters: list[str], topic: str
) -> None:
    cover = smallest_cover(filters)
    assert set(cover) <= set(filters)
    assert any(matches(f, topic) for f in filters) == any(matches(f, topic) for f in cover)


def test_cover_drops_what_another_covers_when_there_is_one() -> None:
    assert smallest_cover(["a/b", "a/#", "a/+", "b/+", "b/+"]) == ["a/#", "b/+"]


@pytest.mark.parametrize(
    ("text", "made"), [("pump 1/motor", "pump-1-motor"), ("a.b", "a-b"), ("*>", "-"), ("", "-")]
)
def test_token_is_one_level_when_the_text_is_odd(text: str, made: str) -> None:
    assert token(text) == made


def test_subject_has_a_token_a_level_when_names_hold_dots() -> None:
    subject = outcome_subject("gw.1", "machine", "pump house", "anomaly", "abc")
    assert subject == "outcomes.gw-1.machine.pump-house.anomaly.abc"
