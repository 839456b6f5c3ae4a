"""One camera of a plugin that finds objects: tracks, counts, and what is said of them."""

import logging
from typing import Any

from gateway.errors import PluginError
from gateway.inference.frame_sections import CountSection, DetectSection
from gateway.inference.manifest import MANIFEST, Manifest
from gateway.inference.vision.counters.counter import Counter, counter
from gateway.inference.vision.steady import Steady
from gateway.inference.vision.tracks import Track, Tracker
from gateway.inference.vision.views import Told, View
from gateway.model import Points, Seen

log = logging.getLogger(__name__)

HOLD_S = 1.0
"""The label must last so long where no ``[[count]]`` says it."""


def check_labels(manifest: Manifest) -> None:
    """Refuse labels that say something else than whether there is an object.

    Raises:
        PluginError: There are more than two.
    """
    if len(manifest.outcome.labels) > 2:
        reason = "[detect] takes one label, or two: the first where nothing is seen"
        raise PluginError(str(manifest.folder / MANIFEST), "outcome.labels", reason)


class ObjectScene:
    """What there is in front of one camera.

    Args:
        camera: Its name, for the log.
        manifest: The plugin's; it has a ``[detect]``.
        detect: The plugin's ``[detect]``.
    """

    def __init__(self, camera: str, manifest: Manifest, detect: DetectSection) -> None:
        self._camera = camera
        self._labels = manifest.outcome.labels
        self._tracker = Tracker(manifest.track, detect.min_score)
        self._counters: list[tuple[CountSection, Counter]] = [
            (spec, counter(spec)) for spec in manifest.count
        ]
        hold_s = max((spec.hold_s for spec in manifest.count), default=HOLD_S)
        self._label: Steady[str] = Steady(round(hold_s * 1e9))
        self._unfit: set[str] = set()

    def see(self, found: list[Seen], time_ns: int, places: dict[str, Points]) -> View:
        """Follow and count the objects of a frame."""
        tracks = self._tracker.update(found, time_ns)
        objects = [track for track in tracks if track.confirmed]
        label = self._label.update(self._labels[-1 if objects else 0], time_ns)
        numbers: dict[str, float] = {}
        levels: dict[str, float | None] = {}
        for spec, each in self._counters:
            each.update(tracks, time_ns, self._place(spec, places))
            numbers |= zip(spec.numbers, each.numbers, strict=True)
            levels[spec.name] = each.level
        known = {name: level for name, level in levels.items() if level is not None}
        return View(
            label=label or self._labels[0],
            score=float(len(objects)),
            confidence=sum(t.score for t in objects) / len(objects) if objects else None,
            numbers=numbers,
            levels=known,
            happened=any(any(each.pending) for _, each in self._counters),
            known=label is not None and len(known) == len(levels),
            seen=_seen(objects, time_ns),
        )

    def reported(self) -> None:
        """Begin the sums again."""
        for _, each in self._counters:
            each.pending = [0.0] * len(each.pending)

    def kept(self) -> dict[str, Any]:
        """Return the sums that are not reported yet."""
        return {spec.name: each.pending for spec, each in self._counters if any(each.pending)}

    def restore(self, kept: dict[str, Any], told: Told | None) -> None:
        """Go on with sums, and with the label and levels that were told."""
        for spec, each in self._counters:
            sums = [float(value) for value in kept.get(spec.name, ())]
            if len(sums) == len(each.pending):
                each.pending = sums
            if told and spec.name in told.levels and not each.pending:
                each.level = told.levels[spec.name]
        if told and told.label in self._labels:
            self._label.value = told.label

    def _place(self, spec: CountSection, places: dict[str, Points]) -> Points:
        """Return where it is counted: as the camera's configuration says, else the manifest."""
        own = places.get(spec.name)
        if own is None:
            return spec.line or spec.zone or ()
        fits = len(own) >= 3 if spec.line is None else len(own) == 2 and own[0] != own[1]
        if fits:
            return own
        if spec.name not in self._unfit:
            self._unfit.add(spec.name)
            wanted = "a zone, three points or more" if spec.line is None else "a line, two points"
            log.warning("camera %s: place %s is not taken: no %s", self._camera, spec.name, wanted)
        return spec.line or spec.zone or ()


def _seen(objects: list[Track], time_ns: int) -> tuple[Seen, ...]:
    return tuple(Seen(t.box, t.label, t.score, t.id) for t in objects if t.last_ns == time_ns)
