"""How far each plugin has got with each source, and what it wants to remember.

The watermark moves in memory after the outcome's PubAck; the store writes what has changed with
its next transaction. After a crash the evaluations since then are repeated, and their outcomes
have the same ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgpack


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a plugin stands with one source.

    Attributes:
        end_ns: End of the last window that was evaluated.
        label: Label of the last outcome that was reported.
        reported_ns: End of the window it was about; 0 for none yet.
        state: What the plugin handed back last; None for nothing.
    """

    end_ns: int
    label: str = ""
    reported_ns: int = 0
    state: bytes | None = None


def pack_states(states: Mapping[str, bytes | None]) -> bytes:
    """Return the states of several sources as one value: a row for each would cost 1 ms."""
    packed: bytes = msgpack.packb(states)
    return packed


def unpack_states(packed: bytes) -> dict[str, bytes | None]:
    """Return what `pack_states` packed."""
    states: dict[str, bytes | None] = msgpack.unpackb(packed)
    return states
