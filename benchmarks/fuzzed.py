"""What becomes of fuzzed inputs: taken or refused, within a second and without much memory."""

import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

_Input = TypeVar("_Input")
TAKEN = "taken"
SLOW_S = 1.0


@dataclass(slots=True)
class Fuzzed:
    """What became of the inputs of one kind.

    Attributes:
        ended: How many ended how: `TAKEN`, or refused, and why.
        wrong: What should not have happened.
        slowest_s: The longest that one took.
        grown_mb: By how much the process's greatest memory grew.
    """

    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    grown_mb: float = 0.0


def fuzz(take: Callable[[_Input], str], make: Callable[[], _Input], count: int) -> Fuzzed:
    """Give so many inputs to a reader.

    Args:
        take: Reads one and returns how that ended, `TAKEN` or why it was refused; raises what is
            wrong.
        make: Gives the next one.
        count: How many.
    """
    fuzzed, before = Fuzzed(), _peak_mb()
    for _ in range(count):
        given = make()
        began = time.perf_counter()
        try:
            ended = take(given)
        except Exception as exc:  # noqa: BLE001 - this is what is looked for
            fuzzed.wrong.append(f"{type(exc).__name__}: {exc}: {str(given)[:400]}")
        else:
            fuzzed.ended[ended] += 1
        took_s = time.perf_counter() - began
        fuzzed.slowest_s = max(fuzzed.slowest_s, took_s)
        if took_s > SLOW_S:
            fuzzed.wrong.append(f"took {took_s:.1f} s: {str(given)[:400]}")
    fuzzed.grown_mb = _peak_mb() - before
    return fuzzed


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
