"""Which routine packets go when the queue is full: a rule without memory. Pure.

The time since the oldest waiting one is cut into equal parts. A level is sought, like water over
uneven ground, such that what is above it is as much as has to go; every part keeps at most so many.
Within a part each source keeps its share, evenly spaced, and its newest one always.
"""

from collections import defaultdict
from collections.abc import Sequence


def water_level(counts: Sequence[int], target: int) -> int:
    """Return the greatest level at which ``sum(min(count, level))`` is at most ``target``."""
    left, parts = max(0, target), len(counts)
    for count in sorted(counts):
        if count * parts > left:
            return left // parts
        left -= count
        parts -= 1
    return max(counts, default=0)


def surplus(sources: Sequence[str], level: int) -> list[int]:
    """Return the places of the packets of one part that go, ascending.

    Args:
        sources: The source of each packet, in order.
        level: How many are to stay, about; at least the newest of each source does.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, source in enumerate(sources):
        places[source].append(place)
    kept: set[int] = set()
    for own in places.values():
        share = max(1, len(own) * level // max(1, len(sources)))
        kept.update(_evenly(own, share))
    return [place for place in range(len(sources)) if place not in kept]


def _evenly(places: list[int], share: int) -> list[int]:
    """Return ``share`` of the places, evenly spaced from the last one back."""
    count = len(places)
    if share >= count:
        return places
    return [places[count - 1 - n * count // share] for n in range(share)]
