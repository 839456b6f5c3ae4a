"""Golden frames: pictures beside a plugin's test case, shown to it one after the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.errors import PluginError
from gateway.inference.frame_sections import MAX_SIDE_PX
from gateway.inference.sections import is_relative
from gateway.model import Frame, Frames

MAX_FRAMES = 50
MAX_PICTURE_BYTES = 4_000_000
_NS = 1_000_000_000


class Shown(BaseModel):
    """One frame of ``input.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: str = Field("camera", min_length=1, max_length=64)
    time_s: float = Field(ge=0, le=4e9, allow_inf_nan=False)
    image: Annotated[str, AfterValidator(is_relative), Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Still:
    """A picture that is read when it is wanted: 50 of them would fill the memory of a small box.

    Attributes:
        camera: A name that no camera can have, so that what a plugin remembers of its cameras is
            not mixed up with what it is asked beside.
        time_ns: When it was taken.
        file: JPEG or PNG.
    """

    camera: str
    time_ns: int
    file: Path

    def frames(self) -> Frames:
        """Return the picture as what a plugin is given.

        Raises:
            OSError, ValueError: It is not readable.
        """
        return Frames([Frame(self.camera, 1, self.time_ns, _picture(self.file))], [{}])


def stills(shown: list[Shown], folder: Path) -> list[Still]:
    """Return the pictures of a test case, after each was read once.

    Args:
        shown: What ``input.json`` says.
        folder: Of the test case.

    Raises:
        PluginError: With the frame that is not readable, too large, or not later than the one
            before it of its camera.
    """
    found: list[Still] = []
    last_s: dict[str, float] = {}
    for i, frame in enumerate(shown):
        where = str(folder / "input.json"), f"frames.{i}"
        if frame.time_s <= last_s.get(frame.camera, -1.0):
            reason = f"{frame.time_s:g} is not later than the frame before of {frame.camera!r}"
            raise PluginError(where[0], f"{where[1]}.time_s", reason)
        last_s[frame.camera] = frame.time_s
        still = Still(
            f"golden/{folder.name}/{frame.camera}",
            round(frame.time_s * _NS),
            folder / frame.image,
        )
        try:
            if not still.file.resolve().is_relative_to(folder.resolve()):
                raise ValueError("is a link out of the folder")  # noqa: TRY301 - told as the rest
            _picture(still.file)
        except (OSError, ValueError) as exc:
            told = exc.strerror if isinstance(exc, OSError) else str(exc)
            raise PluginError(where[0], f"{where[1]}.image", f"{frame.image}: {told}") from exc
        found.append(still)
    return found


def _picture(file: Path) -> NDArray[np.uint8]:
    size = file.stat().st_size
    if size > MAX_PICTURE_BYTES:
        raise ValueError(f"{size} bytes, at most {MAX_PICTURE_BYTES}")
    try:
        image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as exc:
        raise ValueError("is not a picture") from exc
    if image is None:
        raise ValueError("is not a JPEG or PNG picture")
    if max(image.shape) > MAX_SIDE_PX:
        raise ValueError(f"{image.shape[1]} x {image.shape[0]} px, at most {MAX_SIDE_PX} a side")
    return np.asarray(image, np.uint8)
