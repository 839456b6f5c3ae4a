"""Objects followed from frame to frame: which box of this frame is which object of the last.

Two stages after ByteTrack (Zhang et al., ECCV 2022): boxes that are sure find their tracks first
and start new ones; boxes that are not so sure only keep a track alive. Boxes are compared after
they are widened by what an object may have moved since (C-BIoU, Yang et al., WACV 2023), so that
the same settings do at 2 frames in a second and at 30. docs/decisions/0007-tracking.md says why it
is our own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.inference.frame_sections import TrackSection
from gateway.model import Seen

MAX_TRACKS = 500
WEAK_IOU = 0.5
"""A box that is not sure must lie well on its track: often it is a part of the object."""
COVERED = 0.8
"""A box of which so much lies within a surer one may be a part of that object: it is not sure."""
OTHER_CLASS = 0.5
"""A box of another class counts as this much of its overlap: models waver, but not often."""
PATIENCE = 4.0
"""Frames may come so many times ``lost_s`` apart and still carry a track on."""
GLIDE_S = 1.0
"""An object that is not seen is thought to slow down in about this time."""
AVERAGED_S = 0.3
"""The velocity is an average over about this time."""
REACH_PER_S = 1.0
"""Parts of its own size by which a box is widened on each side, for each second since."""
MAX_REACH = 0.5
_NS = 1e9

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Anchor = Literal["bottom", "center"]


class Track(NamedTuple):
    """One object, as it is after a frame.

    Attributes:
        id: From 1; never given twice.
        box: Where it was last seen, as in ``Seen``.
        before: Where it was seen the time before that; at first the same.
        label: The class that it was taken for most often.
        score: Of the last box.
        first_ns, last_ns: When it was first and last seen.
        confirmed: It was seen often enough to count.
    """

    id: int
    box: Box
    before: Box
    label: str
    score: float
    first_ns: int
    last_ns: int
    confirmed: bool

    def at(self, anchor: Anchor) -> Point:
        """Return the point where it is."""
        return point_of(self.box, anchor)

    def was_at(self, anchor: Anchor) -> Point:
        """Return the point where it was before."""
        return point_of(self.before, anchor)


def point_of(box: Box, anchor: Anchor) -> Point:
    """Return the point of a box that says where its object is: its feet, or its middle."""
    left, top, right, bottom = box
    return (left + right) / 2, bottom if anchor == "bottom" else (top + bottom) / 2


@dataclass(slots=True)
class _Followed:
    """A track while it is followed; velocity in parts of the picture in a second."""

    id: int
    box: Box
    before: Box
    score: float
    first_ns: int
    last_ns: int
    hits: int = 1
    missed: bool = False
    velocity: Point = (0.0, 0.0)
    label: str = ""
    votes: dict[str, int] = field(default_factory=dict)

    def take(self, seen: Seen, time_ns: int) -> None:
        """Go on with a box of this frame."""
        passed_s = max((time_ns - self.last_ns) / _NS, 1e-3)
        share = 1 - math.exp(-passed_s / AVERAGED_S) if self.hits > 1 else 1.0
        came, went = point_of(self.box, "center"), point_of(seen.box, "center")
        self.velocity = (
            self.velocity[0] + share * ((went[0] - came[0]) / passed_s - self.velocity[0]),
            self.velocity[1] + share * ((went[1] - came[1]) / passed_s - self.velocity[1]),
        )
        self.before, self.box, self.score, self.last_ns = self.box, seen.box, seen.score, time_ns
        self.hits += 1
        self.missed = False
        self.vote(seen.label)

    def vote(self, label: str) -> None:
        """Count a class; of two that are even the one that was ahead stays."""
        self.votes[label] = self.votes.get(label, 0) + 1
        if self.votes[label] > self.votes.get(self.label, 0):
            self.label = label

    def foretold(self, time_ns: int) -> Box:
        """Return where it should be now."""
        glide_s = GLIDE_S * (1 - math.exp((self.last_ns - time_ns) / _NS / GLIDE_S))
        x, y = self.velocity[0] * glide_s, self.velocity[1] * glide_s
        left, top, right, bottom = self.box
        return left + x, top + y, right + x, bottom + y


class Tracker:
    """Follows the objects of one camera. The same frames give the same tracks.

    A track that misses a frame before it is confirmed is dropped. One that is confirmed stays where
    it was last seen until it is seen again, or has not been for ``lost_s``. Where frames come
    further apart than that, a track that was in the last one may still go on in this one.

    Args:
        spec: The plugin's ``[track]``.
        min_score: Boxes below it start no track.
    """

    def __init__(self, spec: TrackSection, min_score: float = 0.0) -> None:
        self._spec = spec
        self._min_score = min_score
        self._lost_ns = round(spec.lost_s * _NS)
        self._followed: list[_Followed] = []
        self._time_ns = 0
        self._last_id = 0

    def update(self, seen: list[Seen], time_ns: int) -> list[Track]:
        """Take what is in a frame; return the tracks that live, in the order of their ids.

        Args:
            seen: The objects found; with scores below ``min_score`` as well, if the model has any.
            time_ns: When the frame was captured; not before the last one's.
        """
        self._time_ns = time_ns = max(time_ns, self._time_ns)
        reach_ns = round(PATIENCE * self._lost_ns)
        self._keep(lambda t: time_ns - t.last_ns <= (self._lost_ns if t.missed else reach_ns))
        sure, unsure = _sorted_out(seen, self._min_score)
        alone, fresh = self._match(self._followed, sure, self._spec.iou)
        alone, _ = self._match(alone, unsure, max(self._spec.iou, WEAK_IOU))
        for track in alone:
            track.missed = True
        self._keep(
            lambda t: not t.missed or (self._is_sure(t) and time_ns - t.last_ns <= self._lost_ns)
        )
        self._start(fresh)
        return [self._told(track) for track in self._followed]

    def _keep(self, stays: Callable[[_Followed], bool]) -> None:
        self._followed = [track for track in self._followed if stays(track)]

    def _is_sure(self, track: _Followed) -> bool:
        return track.hits >= self._spec.min_hits

    def _match(
        self, tracks: list[_Followed], seen: list[Seen], least: float
    ) -> tuple[list[_Followed], list[Seen]]:
        """Give each track its box, the best pair first; return those left of either."""
        if not tracks or not seen:
            return tracks, seen
        overlaps = self._overlaps(tracks, seen)
        rows, columns = np.nonzero(overlaps >= least)
        order = np.argsort(-overlaps[rows, columns], kind="stable")
        taken: dict[int, int] = {}
        given: set[int] = set()
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            if row not in taken and column not in given:
                taken[row] = column
                given.add(column)
                tracks[row].take(seen[column], self._time_ns)
        return (
            [track for i, track in enumerate(tracks) if i not in taken],
            [each for i, each in enumerate(seen) if i not in given],
        )

    def _overlaps(self, tracks: list[_Followed], seen: list[Seen]) -> NDArray[np.float64]:
        """Return how well each box fits each track, [tracks, boxes], 0 to 1."""
        passed_s = np.array([(self._time_ns - t.last_ns) / _NS for t in tracks])[:, None]
        reach = np.minimum(MAX_REACH, REACH_PER_S * passed_s)
        ours = np.array([track.foretold(self._time_ns) for track in tracks])[:, None]
        theirs = np.array([each.box for each in seen])[None]
        same = [[track.label == each.label for each in seen] for track in tracks]
        iou = _iou(_widened(ours, reach), _widened(theirs, reach))
        return np.where(same, iou, OTHER_CLASS * iou)

    def _start(self, fresh: list[Seen]) -> None:
        for seen in fresh[: MAX_TRACKS - len(self._followed)]:
            self._last_id += 1
            at = seen.box, seen.box, seen.score, self._time_ns, self._time_ns
            track = _Followed(self._last_id, *at)
            track.vote(seen.label)
            self._followed.append(track)

    def _told(self, t: _Followed) -> Track:
        sure = self._is_sure(t)
        return Track(t.id, t.box, t.before, t.label, t.score, t.first_ns, t.last_ns, sure)


def _widened(boxes: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes [..., 4] made greater on each side by a part of their own size."""
    margin = (boxes[..., 2:] - boxes[..., :2]) * reach[..., None]
    return np.concatenate([boxes[..., :2] - margin, boxes[..., 2:] + margin], axis=-1)


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = np.prod(np.maximum(sides, 0), axis=-1)
    either = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1)
    ratio: NDArray[np.float64] = both / np.maximum(either - both, 1e-12)
    return ratio


def _sorted_out(seen: list[Seen], min_score: float) -> tuple[list[Seen], list[Seen]]:
    """Return the boxes that are sure, the surest first, and those that are not."""
    sure: list[Seen] = []
    unsure: list[Seen] = []
    for each in sorted(seen, key=lambda s: -s.score):
        part = any(s.label == each.label and _covered(each.box, s.box) >= COVERED for s in sure)
        (unsure if part or each.score < min_score else sure).append(each)
    return sure, unsure


def _covered(box: Box, by: Box) -> float:
    """Return which part of a box lies within another one."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(width, 0) * max(height, 0) / max(area, 1e-12)
