"""Compiled expressions give what jmespath gives, and say what is wrong before a message comes."""

from typing import Any

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from gateway.profiles.expressions import expression, text_or_expression, topic_only
from gateway.profiles.functions import FUNCTIONS, truthy

EXPRESSIONS = [
    "p", "p.a", "p.a.b", "p.a.b.c", "t.d", 'p."a b"', "p.a[0]", "p.a[-1]", "p[0].a", "p.a[0].b",
    "p.a || p.b", "p.a && p.b", "!(p.a)", "p.a || p.b || 'C'", "p.a == p.b", "p.a != `1`",
    "p.a < p.b", "p.a >= `2`", "p.a == `true`", "type(p.a)", "type(p.a)=='object' && p.a.b",
    "to_array(p.a)", "not_null(p.a, p.b)", "[p.a, p.b]", "{k: p.a}", "p.a[*].b", "p.a[].b", "p.*",
    "p.a[?b>`1`]", "p.a[1:]", "p.a | b", "pairs(p)", "join(',', p.a)", "keys(p)", "length(p.a)",
    "to_string(p.a)", "to_number(p.a)", "sum(p.a)", "max_by(p.a, &b)", "replace(p.a, 'x', 'y')",
    "add(p.a, p.b)", "hex(p.a)", "@", "p.a.[b, c]",
]  # fmt: skip

LEAF = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "2", "xy"])
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "a b"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def outcome(call: Any) -> tuple[str, object]:  # noqa: ANN401 - anything to call
    try:
        return "value", call()
    except JMESPathError:
        return "error", None
    except ValueError:
        return "error", None
    except TypeError:  # jmespath orders a text and a number so; the specification says null
        return "value", None


@pytest.mark.parametrize("text", EXPRESSIONS)
@settings(max_examples=60, deadline=None)
@given(payload=VALUE)
def test_result_is_jmespaths_when_compiled(text: str, payload: object) -> None:
    envelope = {"t": {"d": "dev"}, "p": payload}
    compiled = expression(text)
    options = jmespath.Options(custom_functions=FUNCTIONS)
    ours = outcome(lambda: compiled(envelope))
    theirs = outcome(lambda: jmespath.search(text, envelope, options))
    assert repr(ours) == repr(theirs)  # repr keeps true apart from 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("=p.", "not a JMESPath"),
        ("=payload.a", "unknown name 'payload'"),
        ("=p.a && foo(p)", "unknown function foo"),
        ("=pairs(p, t)", "takes 1"),
        ("=p.a[?length(@)>q.b]", "unknown"),
        ("${p.}", "not a JMESPath"),
        ("a-${q.x}", "unknown name 'q'"),
    ],
)
def test_text_is_refused_when_it_can_never_work(text: str, reason: str) -> None:
    if reason == "unknown":
        expression(text)  # names within a filter are of the element: nothing to know beforehand
        return
    with pytest.raises(ValueError, match=reason):
        text_or_expression(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${t.d}", "plug"),
        ("a-${t.d}/${p.n}", "a-plug/7"),
        ("${p.yes}", "true"),
        ("${p.f}", "1.5"),
        ("x${p.none}", None),
        ("x${p.list}", None),
        ("=p.n", 7),
    ],
)
def test_template_gives_text_when_its_parts_are_scalars(text: str, value: object) -> None:
    made = text_or_expression(text)
    assert callable(made)
    payload = {"n": 7, "yes": True, "f": 1.5, "none": None, "list": [1]}
    assert made({"t": {"d": "plug"}, "p": payload}) == value


def test_field_is_literal_when_it_holds_no_expression() -> None:
    assert text_or_expression("kWh") == "kWh"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("${t.d}", True), ("plain", True), ("=join('/', [t.a, t.b])", True), ("=t.d || p.id", False),
     ("${t.d}-${p.x}", False), ("=@", False), ("=t.list[*].p", True)],
)  # fmt: skip
def test_field_follows_from_the_topic_when_it_looks_nowhere_else(text: str, expected: bool) -> None:
    assert topic_only(text) is expected


@pytest.mark.parametrize("value", [0, 0.0, "x", [0], {"a": None}, True])
def test_value_is_true_when_jmespath_says_so(value: object) -> None:
    assert truthy(value)


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_value_is_false_when_empty_or_null(value: object) -> None:
    assert not truthy(value)
