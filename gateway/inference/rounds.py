"""A batch in which a source stands several times, as rounds in which it stands once.

A plugin with state must see a source's windows one after the other: what it gives back with one
is handed to it with the next.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gateway.model import Result, Windows

Evaluate = Callable[[Windows, list[bytes | None]], list[Result]]


def evaluate_in_rounds(
    evaluate: Evaluate, windows: Windows, states: list[bytes | None]
) -> list[Result]:
    """Evaluate a batch so that each source's state goes from one of its windows to the next.

    Args:
        evaluate: Called once for each round; gives a result for each of its windows.
        windows: Each source's in the order of their ends.
        states: [B] what is stored of each window's source.

    Returns:
        [B] results, in the order of the windows.
    """
    carried: dict[str, bytes | None] = {}
    results: dict[int, Result] = {}
    for round_ in split(windows.sources):
        part = windows if len(round_) == len(windows) else take(windows, round_)
        given = [carried.get(windows.sources[i], states[i]) for i in round_]
        found = evaluate(part, given)
        if len(found) != len(part):
            raise ValueError(f"evaluate gave {len(found)} results for {len(part)} windows")
        for i, state, result in zip(round_, given, found, strict=True):
            results[i] = result
            carried[windows.sources[i]] = state if result.state is None else result.state
    return [results[i] for i in range(len(windows))]


def split(sources: list[str]) -> list[list[int]]:
    """Return the indices of each round: a source's n-th window stands in the n-th round."""
    seen: dict[str, int] = {}
    rounds: list[list[int]] = []
    for i, source in enumerate(sources):
        nth = seen.get(source, 0)
        seen[source] = nth + 1
        if nth == len(rounds):
            rounds.append([])
        rounds[nth].append(i)
    return rounds


def take(windows: Windows, indices: list[int]) -> Windows:
    """Return the windows at ``indices``, in that order."""
    at: NDArray[np.intp] = np.asarray(indices, np.intp)
    return Windows(
        sources=[windows.sources[i] for i in indices],
        start_ns=windows.start_ns[at],
        end_ns=windows.end_ns[at],
        channels=[windows.channels[i] for i in indices],
        values=windows.values[at],
        features=windows.features[at],
        feature_names=windows.feature_names,
        received_ns=windows.received_ns[at],
    )
