"""Frames into results: what is reported, what adds up, and what outlives the process."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from gateway.errors import PluginError
from gateway.inference.manifest import Manifest
from gateway.inference.sections import ReportSection
from gateway.inference.vision import watcher
from gateway.inference.vision.fitted import Fitted
from gateway.inference.vision.views import Told, View, is_due
from gateway.inference.vision.watcher import Watcher
from gateway.inference.vision.whole import VectorScene, read_reference
from gateway.model import Points, Result, Seen

NS = 1_000_000_000
BASE: dict[str, Any] = {
    "api": 1,
    "name": "p",
    "version": "1",
    "title": "T",
    "outcome": {"domain": "d", "asset": "a", "kind": "k", "labels": ["empty", "people"]},
    "report": {"normal": "empty", "every_s": 0},
}
DOOR = {"name": "door", "what": "crossings", "line": [[0.5, 1], [0.5, 0]], "anchor": "center"}
OBJECTS = BASE | {"detect": {"head": "yolo"}, "count": [DOOR, {"name": "in", "what": "occupancy"}]}


class Pictures:
    """Stands where the model is: each picture is the list of boxes in it."""

    size = (64, 48)

    def __init__(self, model: object, manifest: Manifest) -> None:
        assert manifest.detect is not None
        self.min_score = manifest.detect.min_score

    def find(self, fitted: Fitted) -> list[list[Seen]]:
        return list(fitted.images)


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "Finder", Pictures)


def made(table: dict[str, Any]) -> Watcher:
    return Watcher(None, Manifest.model_validate(table))


def at(x: float, score: float = 0.9) -> Seen:
    return Seen((x - 0.05, 0.4, x + 0.05, 0.6), "person", score)


def fitted(
    boxes: list[Seen], time_s: float, camera: str = "a", places: dict[str, Points] | None = None
) -> Fitted:
    return Fitted([camera], np.array([round(time_s * NS)]), [(640, 480)], [places or {}], [boxes])  # type: ignore[arg-type] # lists in place of pictures


def run(
    each: Watcher,
    scene: Callable[[float], list[Seen]],
    until_s: float,
    from_s: float = 100.0,
    fps: float = 10,
    **places: Points,
) -> list[Result]:
    times = np.arange(from_s, from_s + until_s, 1 / fps)
    state: bytes | None = None
    results = []
    for time_s in times:
        (result,) = each.watch(fitted(scene(time_s - from_s), time_s, places=places), [state])
        state = result.state or state
        results.append(result)
    return results


def told(results: list[Result]) -> list[Result]:
    return [result for result in results if not result.suppress]


def passer(passed_s: float) -> list[Seen]:
    """Somebody comes after 2 s, goes over the line at 5 s and is gone after 8 s."""
    return [at(0.2 + 0.1 * (passed_s - 2))] if 2 <= passed_s < 8 else []


def test_each_event_is_one_outcome_when_somebody_passes() -> None:
    found = told(run(made(OBJECTS), passer, 15))
    told_ = [(r.label, r.numbers["door_in"], r.numbers["in"], r.score) for r in found]
    assert told_ == [
        ("empty", 0, 0, 0),
        ("people", 0, 1, 1),
        ("people", 1, 1, 1),
        ("empty", 0, 0, 0),
    ]
    assert [r.confidence for r in found] == [None, pytest.approx(0.9), pytest.approx(0.9), None]


def test_outcomes_tile_the_time_and_sums_add_up() -> None:
    def to_and_fro(t: float) -> list[Seen]:
        return [at(0.5 + 0.3 * float(np.sin(t)))]

    table = OBJECTS | {"report": {"normal": "empty", "every_s": 7}}
    results = run(made(table), to_and_fro, 60)
    found = [(100 + i / 10, r) for i, r in enumerate(results) if not r.suppress]
    ends = [round(t * 10) for t, _ in found]
    assert [round(r.since_ns / NS * 10) for _, r in found] == [1000, *ends[:-1]]
    assert sum(r.numbers["door_in"] for _, r in found) == 9  # through 0 at 2 pi, 4 pi ...
    assert sum(r.numbers["door_out"] for _, r in found) == 10


def test_every_s_tells_again_whatever_the_label_is() -> None:
    table = OBJECTS | {"report": {"normal": "empty", "every_s": 5, "on": []}}
    found = told(run(made(table), passer, 21))
    assert [(r.label, r.numbers["door_in"]) for r in found] == [
        ("people", 0),
        ("people", 1),
        ("empty", 0),
        ("empty", 0),
    ]


def test_every_frame_is_told_when_always() -> None:
    table = OBJECTS | {"report": {"normal": "empty", "always": True}}
    assert len(told(run(made(table), passer, 3))) == 30


def test_camera_s_own_place_replaces_the_manifest_s() -> None:
    found = told(run(made(OBJECTS), passer, 15, door=((0.5, 0.0), (0.5, 1.0))))
    assert [r.numbers["door_out"] for r in found] == [0, 0, 1, 0]


def test_place_is_not_taken_when_it_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    found = told(run(made(OBJECTS), passer, 15, door=((0, 0), (1, 0), (1, 1))))
    assert sum(r.numbers["door_in"] for r in found) == 1
    assert caplog.messages == ["camera a: place door is not taken: no a line, two points"]


def test_counts_go_on_when_the_process_starts_again() -> None:
    table = OBJECTS | {"report": {"normal": "empty", "every_s": 60, "on": []}}
    first = run(made(table), passer, 8)
    assert told(first) == []
    state = next(r.state for r in reversed(first) if r.state)
    second = made(table)
    results = [
        second.watch(fitted([], 110 + i), [state if i == 0 else b"not looked at"])[0]
        for i in range(60)
    ]
    (found,) = told(results)
    assert found.numbers["door_in"] == 1
    assert found.since_ns == 100 * NS


def test_label_is_not_told_again_when_the_process_starts_again() -> None:
    somebody = lambda _: [at(0.2)]  # noqa: E731
    first = run(made(OBJECTS), somebody, 5)
    assert [r.label for r in told(first)] == ["people"]
    state = next(r.state for r in reversed(first) if r.state)
    second = made(OBJECTS)
    results = [second.watch(fitted([at(0.2)], 106 + i / 10), [state])[0] for i in range(40)]
    assert told(results) == []
    assert results[0].label == "people"


def test_state_is_given_only_when_it_changed() -> None:
    results = run(made(OBJECTS), passer, 15)
    given = [i for i, r in enumerate(results) if r.state is not None]
    assert given == [i for i, r in enumerate(results) if not r.suppress]
    assert max(len(r.state or b"") for r in results) < 100


@pytest.mark.parametrize(
    "state",
    [b"", b"\xff\xff", msgpack.packb([9, 1, None, {}]), msgpack.packb([1, 1, ["people"], {}])],
)
def test_state_is_left_out_with_a_line_in_the_log_when_it_is_broken(
    state: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        (result,) = made(OBJECTS).watch(fitted([], 1), [state])
    assert result.since_ns == NS
    assert "camera a: its state is not taken" in caplog.text


def test_camera_begins_anew_when_time_goes_back() -> None:
    each = made(OBJECTS)
    first = run(each, passer, 15)
    again = run(each, passer, 15)
    assert [(r.label, r.numbers, r.suppress, r.since_ns) for r in again] == [
        (r.label, r.numbers, r.suppress, r.since_ns) for r in first
    ]


def test_cameras_are_kept_apart() -> None:
    each = made(OBJECTS)
    for i in range(30):
        boxes: Any = [[at(0.2)], []]
        times = np.array([i * NS // 10] * 2)
        both = each.watch(Fitted(["a", "b"], times, [(64, 48)] * 2, [{}] * 2, boxes), [None] * 2)
    assert [r.label for r in both] == ["people", "empty"]
    assert [len(r.seen) for r in both] == [1, 0]


def test_weak_boxes_are_asked_for_and_only_keep_a_track() -> None:
    results = run(made(OBJECTS), lambda t: [at(0.2, 0.9 if t < 1 else 0.3)], 6)
    assert results[-1].score == 1
    assert run(made(OBJECTS), lambda _: [at(0.2, 0.3)], 6)[-1].score == 0


def test_plugin_is_refused_when_detect_has_more_than_two_labels() -> None:
    outcome = BASE["outcome"] | {"labels": ["a", "b", "c"]}
    with pytest.raises(PluginError, match="takes one label, or two"):
        made(OBJECTS | {"outcome": outcome})


def test_plugin_is_refused_when_it_has_no_head() -> None:
    with pytest.raises(PluginError, match="needs a head"):
        made(BASE | {"frame": {}})


def test_only_label_is_told_when_there_is_one() -> None:
    outcome = BASE["outcome"] | {"labels": ["count"]}
    assert {r.label for r in run(made(OBJECTS | {"outcome": outcome}), passer, 10)} == {"count"}


class FixedEye:
    """Stands where the model is: its output is the picture itself."""

    size = (4, 1)

    def __init__(self, model: object, manifest: Manifest) -> None:
        del model, manifest
        self.shapes = {"y": (1, 2)}

    def look(self, images: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - vectors in place of pictures
        return [{"y": np.array(images, np.float32)}]


def vectors(table: dict[str, Any], given: list[list[float]], step_s: float = 0.1) -> list[Result]:
    each = made(table)
    return [
        each.watch(
            Fitted(["a"], np.array([round((1 + i * step_s) * NS)]), [(4, 1)], [{}], [v]),  # type: ignore[arg-type] # vectors in place of pictures
            [None],
        )[0]
        for i, v in enumerate(given)
    ]


def test_class_is_told_when_it_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "Eye", FixedEye)
    table = BASE | {"classify": {"hold_s": 0.5}}
    empty, people, unsure = [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]
    results = vectors(
        table, [empty] * 10 + [people] * 3 + [empty] * 5 + [people] * 4 + [unsure] * 9
    )
    assert [r.label for r in told(results)] == ["empty"]
    results = vectors(table, [empty] * 10 + [people] * 20)
    found = told(results)
    assert [[r.label, r.score, r.confidence] for r in found] == [
        ["empty", pytest.approx(0.9), pytest.approx(0.9)],
        ["people", pytest.approx(0.8), pytest.approx(0.8)],
    ]


def test_distance_is_told_when_the_usual_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "Eye", FixedEye)
    threshold = {"labels": [["people", 0.5], ["empty", 0]]}
    table = BASE | {"embed": {"learn_frames": 5}, "threshold": threshold}
    results = vectors(table, [[2.0, 0.0]] * 15 + [[0.0, 3.0]] * 15)
    assert all(r.suppress and r.state for r in results[:5])
    assert [(r.label, round(r.score, 3)) for r in told(results)] == [("empty", 0), ("people", 1)]
    assert made(table).watch(
        Fitted(["a"], np.array([9 * NS]), [(4, 1)], [{}], [[0, 1]]),  # type: ignore[arg-type] # vectors in place of pictures
        [results[4].state],
    )[0].score == pytest.approx(1)


def test_reference_is_read_or_refused(tmp_path: Path) -> None:
    threshold = {"labels": [["people", 0.5], ["empty", 0]]}
    table = BASE | {"embed": {"reference": "usual.npy"}, "threshold": threshold}
    manifest = Manifest.model_validate(table, context=tmp_path)
    assert manifest.embed is not None
    assert manifest.threshold is not None
    for content, reason in [
        (None, "is not readable"),
        (np.ones(3), "has 3 numbers, the model gives 2"),
        (np.zeros(2), "must be finite, and not all 0"),
    ]:
        if content is not None:
            np.save(tmp_path / "usual.npy", content)
        with pytest.raises(PluginError, match=reason):
            read_reference(manifest, manifest.embed, 2)
    np.save(tmp_path / "usual.npy", np.array([0, 5]))
    reference = read_reference(manifest, manifest.embed, 2)
    scene = VectorScene(manifest.embed, manifest.threshold, reference)
    assert scene.see(np.array([0, 1], np.float32), 1, {}).score == pytest.approx(0)
    assert scene.kept() == {}


SAME = Told("people", {"in": 1.0})


@pytest.mark.parametrize(
    ("report", "last", "view", "passed_s", "due"),
    [
        ({}, None, View("people", 1), 0, True),
        ({}, None, View("people", 1, known=False), 99, False),
        ({}, SAME, View("people", 1, levels={"in": 1.0}), 59, False),
        ({}, SAME, View("people", 1, levels={"in": 1.0}), 60, True),
        ({"every_s": 0}, SAME, View("people", 1, levels={"in": 1.0}), 9e6, False),
        ({}, SAME, View("people", 1, levels={"in": 2.0}), 1, True),
        ({}, SAME, View("people", 1, levels={"in": 2.0}), 0.9, False),
        ({}, SAME, View("empty", 0, levels={"in": 1.0}), 1, True),
        ({}, SAME, View("people", 1, levels={"in": 1.0}, happened=True), 1, True),
        ({"on": []}, SAME, View("empty", 0, happened=True), 59, False),
        ({"on": []}, None, View("empty", 0), 59, False),
        ({"on": []}, None, View("empty", 0), 60, True),
        ({"always": True}, SAME, View("people", 1, levels={"in": 1.0}, known=False), 0, True),
        ({"always": True}, None, View("people", 1, learning=True), 0, False),
        ({"min_score": 2}, SAME, View("people", 1, levels={"in": 2.0}), 99, False),
        ({"min_score": 2}, SAME, View("empty", 0, levels={"in": 0.0}), 99, True),
    ],
)
def test_frame_is_due_by_the_report_s_rule(
    report: dict[str, Any], last: Told | None, view: View, passed_s: float, due: bool
) -> None:
    section = ReportSection.model_validate({"normal": "empty", "every_s": 60} | report)
    assert is_due(section, last, view, round(passed_s * NS)) is due
