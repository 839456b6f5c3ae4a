"""What a worker does for a plugin that looks at cameras."""

from collections.abc import Callable
from typing import Any

import cv2

from gateway.inference.hook import load_hook
from gateway.inference.manifest import Manifest
from gateway.inference.models import load_model
from gateway.inference.slots import Slots
from gateway.inference.vision.entry import input_size
from gateway.inference.vision.fitted import Fitted
from gateway.inference.vision.watcher import Watcher
from gateway.inference.wire import unpack_frames
from gateway.model import Result

Watch = Callable[[Fitted, list[bytes | None]], list[Result]]


def looking(
    manifest: Manifest, frames: int
) -> tuple[Callable[[Any], list[Result]], tuple[int, int]]:
    """Return what answers calls of frames, and the size of the pictures that it wants.

    Raises:
        PluginError: The model or the code does not load, or does not fit the manifest.
    """
    cv2.setNumThreads(manifest.limits.threads)
    watch, size = load_watcher(manifest)
    slots = Slots(frames)
    opened = False

    def answer(body: Any) -> list[Result]:  # noqa: ANN401 - from the wire
        nonlocal opened
        if not opened:
            slots.open(size, grow=False)
            opened = True
        return watch(*unpack_frames(body, slots.read(len(body[0]))))

    return answer, size


def load_watcher(manifest: Manifest) -> tuple[Watch, tuple[int, int]]:
    """Load a plugin of frames; return what evaluates them, and the width and height it wants.

    Raises:
        PluginError: The model or the code does not load, or does not fit the manifest.
    """
    model = load_model(manifest)
    if not manifest.has_code:
        watcher = Watcher(model, manifest)
        return watcher.watch, watcher.size
    hook = load_hook(model, manifest)
    return hook.evaluate, input_size(model, manifest)
