"""What passes to a worker and back, and rounds of a batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.rounds import evaluate_in_rounds, split
from gateway.inference.wire import (
    FrameError,
    FrameReader,
    frame,
    pack_results,
    pack_windows,
    unpack_results,
    unpack_windows,
)
from gateway.model import Result, Windows
from tests.plugins.samples import feature_windows, tensor_windows


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_frames_are_whole_when_the_stream_comes_in_pieces(bodies: list[bytes], size: int) -> None:
    stream = b"".join(frame(i, "k", body) for i, body in enumerate(bodies))
    reader = FrameReader()
    found = [f for at in range(0, len(stream), size) for f in reader.feed(stream[at : at + size])]
    assert found == [(i, "k", body) for i, body in enumerate(bodies)]


@pytest.mark.parametrize(
    "stream", [b"\xff" * 8, b"\0\0\0\1\xc1", b"\0\0\0\1\x93", b"\0\0\0\2\x01\x01", b"\0\0\0\1\x01"]
)
def test_stream_is_refused_when_it_is_no_frame(stream: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(stream)


@pytest.mark.parametrize(
    "windows",
    [
        feature_windows([1.5, float("nan")], ["a", "b"]),
        tensor_windows(np.arange(24, dtype=np.float32).reshape(2, 4, 3)),
    ],
)
def test_windows_are_the_same_when_they_went_over_the_wire(windows: Windows) -> None:
    states = [None, b"\0\1"]
    ((_, _, body),) = FrameReader().feed(frame(1, "e", pack_windows(windows, states)))
    got, got_states = unpack_windows(body)
    assert got_states == states
    for name in ("sources", "channels", "feature_names"):
        assert getattr(got, name) == getattr(windows, name)
    for name in ("start_ns", "end_ns", "values", "features", "received_ns"):
        np.testing.assert_array_equal(getattr(got, name), getattr(windows, name))


def test_results_are_the_same_when_they_went_over_the_wire() -> None:
    results = [
        Result("a", 1.5, 0.5, {"mean": 2.0}, b"s", suppress=True),
        Result("b", np.float32(0.25), numbers={"n": np.float64(1)}),  # type: ignore[arg-type] # as plugins do
    ]
    ((_, _, body),) = FrameReader().feed(frame(1, "r", pack_results(results)))
    assert unpack_results(body, 2) == results
    with pytest.raises(FrameError, match="2 results for 3"):
        unpack_results(body, 3)


def test_rounds_hold_each_source_once_when_a_batch_repeats_them() -> None:
    assert split(["a", "b", "a", "c", "a", "b"]) == [[0, 1, 3], [2, 5], [4]]


def test_state_goes_from_one_window_to_the_next_when_a_source_repeats() -> None:
    windows = feature_windows([1, 10, 2, 3], ["a", "b", "a", "a"])

    def add_up(part: Windows, states: list[bytes | None]) -> list[Result]:
        """Keep a sum; 2 is not kept."""
        assert len(set(part.sources)) == len(part)
        sums = [
            float(state or 0) + value
            for state, value in zip(states, part.features[:, 0].tolist(), strict=True)
        ]
        return [
            Result("sum", s, state=None if value == 2 else str(s).encode())
            for s, value in zip(sums, part.features[:, 0].tolist(), strict=True)
        ]

    results = evaluate_in_rounds(add_up, windows, [b"100", None, b"100", b"100"])
    assert [r.score for r in results] == [101, 10, 103, 104]


def test_count_is_told_when_a_plugin_gives_too_few_results() -> None:
    with pytest.raises(ValueError, match="0 results for 1 windows"):
        evaluate_in_rounds(lambda *_: [], feature_windows([1]), [None])
