"""The verb ``flatten``: a reading for each leaf of an object.

This is where nearly all readings come from, so what is known about a leaf (its metric's name,
unit and treatment) is kept in a tree of the payload's own shape: a message costs one look into a
dict for each key, and neither joins names nor matches globs.
"""

from collections.abc import Iterable
from typing import Any

from gateway.errors import DecodeError
from gateway.model import Reading
from gateway.profiles.expressions import Evaluate, expression, text_or_expression
from gateway.profiles.message import MAX_VALUES, Message, Run
from gateway.profiles.schema import FlattenStep
from gateway.profiles.treatments import (
    NUMBERS,
    Convert,
    Treatments,
    globs,
    plain,
    text_numbers,
)
from gateway.profiles.words import LARGEST, checked_name

MAX_DEPTH = 16
_MAX_CELLS = 50_000


class Cell:
    """One place in a payload.

    Attributes:
        path: Keys from the flattened object on, joined by ``.``; what keep and drop see.
        name: Prefix and path.
        metric: The reading's metric; None when a leaf here gives no reading.
        dropped: Nothing here or below is wanted.
        kept: ``keep`` matched here or above.
        unit, unit_of, convert: See `CompiledTreatment`.
        as_it_stands: Numbers here are taken as they are.
        children: The places below, by key or index.
    """

    __slots__ = (
        "as_it_stands", "children", "convert", "dropped", "kept", "metric", "name", "path", "unit",
        "unit_of",
    )  # fmt: skip

    def __init__(self, path: str, name: str, *, kept: bool) -> None:
        self.path = path
        self.name = name
        self.kept = kept
        self.metric: str | None = None
        self.dropped = False
        self.unit: str | None = None
        self.unit_of: Evaluate | None = None
        self.convert: Convert | None = None
        self.as_it_stands = True
        self.children: dict[str | int, Cell] = {}


class Cells:
    """The tree of places of one flatten step, grown as payloads come."""

    def __init__(self, step: FlattenStep, treatments: Treatments) -> None:
        self._treatments = treatments
        self._numbers = step.numbers
        self._keeps_all = not step.keep
        self._keep, self._drop = globs(step.keep), globs(step.drop)
        self._collapse = frozenset(step.collapse)
        self._roots: dict[str, Cell] = {}
        self._count = 0

    def root(self, prefix: str) -> Cell:
        """Return the place of the flattened object itself."""
        if self._count > _MAX_CELLS:  # keys that never come again must not fill the memory
            self._roots.clear()
            self._count = 0
        cell = self._roots.get(prefix)
        if cell is None:
            cell = self._roots[prefix] = Cell("", prefix, kept=self._keeps_all)
            self._count += 1
        return cell

    def grow(self, parent: Cell, key: str | int) -> Cell:
        """Add the place below another.

        Raises:
            DecodeError: ``bad_metric``: what would be its metric cannot be a name.
        """
        path, name = parent.path, parent.name
        if key not in self._collapse:
            path = f"{path}.{key}" if path else str(key)
            name = f"{name}.{key}" if name else str(key)
        cell = Cell(path, name, kept=parent.kept or bool(self._keep(path)))
        cell.dropped = bool(self._drop(path))
        # A key of the payload cannot make one of the reserved metrics.
        if cell.kept and not cell.dropped and name and not name.startswith("$"):
            cell.metric = checked_name("metric", name)
            treatment = self._treatments.of(name, numbers=self._numbers)
            cell.unit, cell.unit_of, cell.convert = treatment
            cell.as_it_stands = cell.convert is None or cell.convert is text_numbers
        parent.children[key] = cell
        self._count += 1
        return cell


def flatten(step: FlattenStep, treatments: Treatments) -> Run:
    """Compile the step; it raises DecodeError ``too_deep`` and ``too_many_values``."""
    target, prefix = expression(step.flatten), text_or_expression(step.prefix)
    cells = Cells(step, treatments)
    if isinstance(prefix, str):
        fixed = prefix

        def flatten_fixed(message: Message) -> None:
            _walk(cells, cells.root(fixed), target(message.envelope), message, 0)

        return flatten_fixed
    prefix_of = prefix

    def flatten_each(message: Message) -> None:
        name = prefix_of(message.envelope)
        root = cells.root(name if type(name) is str else "")
        _walk(cells, root, target(message.envelope), message, 0)

    return flatten_each


def _walk(cells: Cells, cell: Cell, node: Any, message: Message, depth: int) -> None:  # noqa: ANN401 - JSON
    """Add a reading for each leaf below. One loop: a call for each leaf would cost a third."""
    children, readings = cell.children, message.readings
    device, time_ns, own_time = message.device, message.time_ns, message.own_time
    for key, found in _items(node, depth):
        child = children.get(key) or cells.grow(cell, key)
        if child.dropped:
            continue
        kind = type(found)
        if kind is dict or kind is list:
            _walk(cells, child, found, message, depth + 1)
            continue
        metric = child.metric
        if metric is None or found is None:
            continue
        if child.as_it_stands and (kind is float or kind is int) and -LARGEST <= found <= LARGEST:
            value = found  # by far the most, without a call
        elif child.convert is not None:
            value = child.convert(found, message.envelope)
        else:
            value = plain(found)
        if value is None:
            continue
        if type(value) not in NUMBERS:
            unit = None
        else:
            unit = child.unit if child.unit_of is None else child.unit_of(message.envelope)
        readings.append(Reading(device, metric, value, unit, time_ns, own_time))
    message.check_count()


def _items(node: Any, depth: int) -> Iterable[tuple[str | int, Any]]:  # noqa: ANN401 - JSON
    if depth > MAX_DEPTH:
        raise DecodeError("too_deep", f"more than {MAX_DEPTH} levels")
    if type(node) is dict:
        return node.items()
    if type(node) is not list:
        return ()
    if len(node) > MAX_VALUES:
        raise DecodeError("too_many_values", f"an array of {len(node)}")
    return enumerate(node)
