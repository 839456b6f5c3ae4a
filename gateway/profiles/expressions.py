"""JMESPath expressions and ``${...}`` templates, compiled to closures.

An expression is evaluated over an envelope ``{t: captures, p: payload, x: element of an each}``.
jmespath parses it; what a hot path uses (paths, ``||``, comparisons, calls) becomes closures of our
own, and what is rare (projections, slices, filters) is left to jmespath's interpreter. Both give
the same results: https://jmespath.org/specification.html.
"""

import re
from collections.abc import Callable
from typing import Any, cast

from jmespath.exceptions import JMESPathError
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

from gateway.profiles.functions import FUNCTIONS, arity_error, function, truthy

Envelope = dict[str, Any]
Evaluate = Callable[[Any], Any]
Node = dict[str, Any]

NAMES = frozenset("tpxyz")
"""What an envelope may hold: captures, payload, and the elements of up to three nested each."""

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_INTERPRETER = TreeInterpreter(Options(custom_functions=FUNCTIONS))


def expression(text: str) -> Evaluate:
    """Compile ``p.a.b``; a leading ``=`` is allowed.

    Raises:
        ValueError: It is not JMESPath, or calls a function that does not exist.
    """
    return _compile(_parse(text))


def text_or_expression(text: str) -> Evaluate | str:
    """Compile a field that may be literal text, ``=expression`` or a template with ``${...}``.

    Returns:
        The text itself when it is literal; else a closure. A template gives None when one of its
        parts is null, an object or an array.

    Raises:
        ValueError: An expression in it cannot be used.
    """
    if text.startswith("="):
        return expression(text)
    if "${" not in text:
        return text
    pieces = _PLACEHOLDER.split(text)
    if len(pieces) == 3 and not pieces[0] and not pieces[2]:
        return _as_text(expression(pieces[1]))
    parts = [expression(p) if i % 2 else _constant(p) for i, p in enumerate(pieces)]
    return _joined([_as_text(part) for part in parts])


def topic_only(text: str) -> bool:
    """Say whether a field's value follows from the topic alone."""
    if text.startswith("="):
        return _roots(_parse(text)) <= {"t"}
    return all(_roots(_parse(part)) <= {"t"} for part in _PLACEHOLDER.findall(text))


def _parse(text: str) -> Node:
    try:
        # Parser(), not jmespath.compile: that one caches by text and hides where an error is.
        tree = cast("Node", Parser().parse(text.removeprefix("=")).parsed)
    except JMESPathError as exc:
        raise ValueError(f"not a JMESPath expression: {exc}".replace("\n", " ")) from exc
    _check(tree)
    tree = _with_constants(tree)
    unknown = _roots(tree) - NAMES - {"@"}
    if unknown:
        raise ValueError(f"unknown name {min(unknown)!r}; an expression begins with t, p or x")
    return tree


_CONSTANTS = {"null": None, "true": True, "false": False}


def _with_constants(node: Node) -> Node:
    """Take ``null``, ``true`` and ``false`` for what they say, where a path would begin.

    JMESPath has them as keys of the envelope, which holds no such keys.
    """
    if node["type"] == "field" and node["value"] in _CONSTANTS:
        return {"type": "literal", "value": _CONSTANTS[node["value"]], "children": []}
    if node["type"] == "expref":
        return node
    inward = node["type"] in _INWARD
    children = [
        _with_constants(child) if isinstance(child, dict) and not (inward and i) else child
        for i, child in enumerate(node["children"])
    ]
    return {**node, "children": children}


def _check(node: Node) -> None:
    if node["type"] == "function_expression":
        problem = arity_error(node["value"], len(node["children"]))
        if problem:
            raise ValueError(problem)
    if node["type"] == "subexpression" and node["children"][0]["type"] == "not_expression":
        raise ValueError("'!p.a' is '(!p).a' in JMESPath, which is always null; write '!(p.a)'")
    for child in _children(node):
        _check(child)


def _children(node: Node) -> list[Node]:
    """Return the nodes below; the bounds of a slice and of an index are plain numbers."""
    return [child for child in node["children"] if isinstance(child, dict)]


def _roots(node: Node) -> set[str]:
    """Return the names at which an expression's paths begin; ``@`` is the whole envelope."""
    kind = node["type"]
    if kind == "field":
        return {node["value"]}
    if kind == "current":
        return {"@"}
    if kind == "expref":
        return set()  # its names are those of an element
    children = _children(node)
    if kind in _INWARD:  # what follows the first child is looked up within it
        return _roots(children[0])
    return set().union(*(_roots(child) for child in children))


_INWARD = frozenset({
    "subexpression", "index_expression", "pipe", "projection", "value_projection",
    "filter_projection", "flatten",
})  # fmt: skip


def _compile(node: Node) -> Evaluate:
    return _BUILDERS.get(node["type"], _interpreted)(node)


def _interpreted(node: Node) -> Evaluate:
    tree: Any = node
    return lambda value: _INTERPRETER.visit(tree, value)


def _constant(value: object) -> Evaluate:
    return lambda _: value


def _literal(node: Node) -> Evaluate:
    return _constant(node["value"])


def _identity(_: Node) -> Evaluate:
    return lambda value: value


def _field(node: Node) -> Evaluate:
    key = node["value"]
    return lambda value: value.get(key) if type(value) is dict else None


def _index(node: Node) -> Evaluate:
    at = node["value"]

    def index(value: Any) -> Any:  # noqa: ANN401 - JSON
        if type(value) is list and -len(value) <= at < len(value):
            return value[at]
        return None

    return index


def _chain(node: Node) -> Evaluate:
    children = node["children"]
    if len(children) > 1 and all(child["type"] == "field" for child in children):
        return _path(tuple(child["value"] for child in children))
    steps = [_compile(child) for child in children]

    def chain(value: Any) -> Any:  # noqa: ANN401 - JSON
        for step in steps:
            value = step(value)
        return value

    return chain


def _path(keys: tuple[str, ...]) -> Evaluate:
    if len(keys) == 2:
        root, leaf = keys

        def pair(value: Any) -> Any:  # noqa: ANN401 - JSON
            inner = value.get(root) if type(value) is dict else None
            return inner.get(leaf) if type(inner) is dict else None

        return pair

    def path(value: Any) -> Any:  # noqa: ANN401 - JSON
        for key in keys:
            if type(value) is not dict:
                return None
            value = value.get(key)
        return value

    return path


def _or(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])

    def either(value: Any) -> Any:  # noqa: ANN401 - JSON
        found = left(value)
        return found if truthy(found) else right(value)

    return either


def _and(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])

    def both(value: Any) -> Any:  # noqa: ANN401 - JSON
        found = left(value)
        return right(value) if truthy(found) else found

    return both


def _not(node: Node) -> Evaluate:
    inner = _compile(node["children"][0])
    return lambda value: not truthy(inner(value))


def _comparator(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])
    compare = _COMPARE[node["value"]]
    return lambda value: compare(left(value), right(value))


def _call(node: Node) -> Evaluate:
    if any(child["type"] == "expref" for child in node["children"]):
        return _interpreted(node)
    call = function(node["value"])
    arguments = [_compile(child) for child in node["children"]]
    if len(arguments) == 1:
        only = arguments[0]
        return lambda value: call(only(value))
    return lambda value: call(*[argument(value) for argument in arguments])


def _list(node: Node) -> Evaluate:
    items = [_compile(child) for child in node["children"]]
    return lambda value: None if value is None else [item(value) for item in items]


def _object(node: Node) -> Evaluate:
    members = [(child["value"], _compile(child["children"][0])) for child in node["children"]]
    return lambda value: None if value is None else {key: of(value) for key, of in members}


def _equal(left: object, right: object) -> bool:
    return left == right and (type(left) is bool) == (type(right) is bool)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    def ordered(left: object, right: object) -> bool | None:
        kinds = {type(left), type(right)}
        if kinds <= {int, float} or kinds == {str}:
            return compare(left, right)
        return None

    return ordered


_COMPARE: dict[str, Callable[[Any, Any], bool | None]] = {
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "lt": _ordered(lambda left, right: left < right),
    "lte": _ordered(lambda left, right: left <= right),
    "gt": _ordered(lambda left, right: left > right),
    "gte": _ordered(lambda left, right: left >= right),
}

_BUILDERS: dict[str, Callable[[Node], Evaluate]] = {
    "field": _field,
    "subexpression": _chain,
    "index_expression": _chain,
    "pipe": _chain,
    "index": _index,
    "literal": _literal,
    "current": _identity,
    "identity": _identity,
    "or_expression": _or,
    "and_expression": _and,
    "not_expression": _not,
    "comparator": _comparator,
    "function_expression": _call,
    "multi_select_list": _list,
    "multi_select_dict": _object,
}


def _as_text(part: Evaluate) -> Evaluate:
    def text(envelope: Envelope) -> str | None:
        value = part(envelope)
        if type(value) is str:
            return value
        if type(value) is bool:
            return "true" if value else "false"
        return str(value) if type(value) in {int, float} else None

    return text


def _joined(parts: list[Evaluate]) -> Evaluate:
    def joined(envelope: Envelope) -> str | None:
        found = [part(envelope) for part in parts]
        return None if None in found else "".join(found)

    return joined
