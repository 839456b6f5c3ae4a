"""Whether a detector's outputs are those that a head reads, and which head would read them."""

from gateway.inference.manifest import Manifest
from gateway.inference.vision.entry import refusal
from gateway.inference.vision.heads import HEADS
from gateway.inference.vision.heads.detections import ANY, Shapes, Size

_LIKELY = ("fastestdet", "ssd", "yolox", "yolo", "nanodet", "detr")
"""Of heads that read the same shapes, the first is the likeliest."""
_COCO = 80


def check_head(manifest: Manifest, shapes: Shapes, size: Size, classes: int) -> None:
    """Refuse a model whose outputs are not those of ``detect.head``.

    Args:
        manifest: With ``[detect]``.
        shapes: Of the model's outputs for one picture.
        size: Of the model's input.
        classes: How many the manifest names.

    Raises:
        PluginError: With what would fit.
    """
    head = manifest.detect.head if manifest.detect else ""
    wrong = misfit(head, shapes, size, classes)
    if not wrong:
        return
    counts = HEADS[head].class_counts(shapes, size)
    raise refusal(manifest, "detect.classes" if counts else "detect.head", wrong)


def misfit(head: str, shapes: Shapes, size: Size, classes: int) -> str:
    """Return what is wrong between a head and a model's outputs, and what would fit; or ""."""
    counts = HEADS[head].class_counts(shapes, size)
    if ANY in counts or classes in counts:
        return ""
    likely = [(name, n) for name, n in candidates(shapes, size) if n in {classes, ANY}]
    told = "; ".join(f'it looks like head = "{name}"' for name, _ in likely[:2])
    if counts:
        reason = f"the model has {_or(counts)} classes ({_told(shapes)}), the manifest {classes}"
        coco = 'classes = "coco" names 80' if _COCO in counts else ""
        return "; ".join(filter(None, [reason, coco, told]))
    near = [f'head = "{name}" with {n} classes' for name, n in candidates(shapes, size)[:2]]
    told = told or "; ".join(f"it looks like {each}" for each in near) or "no head reads that"
    takes = HEADS[head].TAKES
    return f'"{head}" reads {takes}; the model gives {_told(shapes)}: {told}'


def candidates(shapes: Shapes, size: Size) -> list[tuple[str, int]]:
    """Return the heads that read such outputs, and for how many classes, the likeliest first."""
    found = [(name, n) for name in _LIKELY for n in HEADS[name].class_counts(shapes, size)]
    return sorted(found, key=lambda each: each[1] not in {ANY, _COCO})


def _or(counts: tuple[int, ...]) -> str:
    return " or ".join(str(count) for count in counts[:3])


def _told(shapes: Shapes) -> str:
    each = [f"{name} [{', '.join(map(str, shape))}]" for name, shape in shapes.items()]
    return f"output {each[0]}" if len(each) == 1 else f"outputs {', '.join(each)}"
