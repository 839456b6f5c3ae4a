"""The words that all rooms share: what is handed from one stage to the next.

Times are Unix nanoseconds (``_ns``, wall clock). ``RawMessage`` and ``Reading`` are named tuples,
not dataclasses: one is made for every message and value, and a frozen dataclass costs four times
as much to build.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Value = float | int | bool | str
"""What a reading can carry: a finite number, a switch, or a text."""

Rank = Literal["alarm", "routine"]
"""Of an outcome: alarms are always kept; of routine ones some are removed when no room is left."""


class RawMessage(NamedTuple):
    """One MQTT message as it came in.

    Attributes:
        topic: The topic, valid UTF-8.
        payload: The bytes, untouched.
        received_ns: When it came in.
        qos: 0, 1 or 2.
        retained: The broker had kept it for new subscribers.
        redelivered: The broker says that it may have sent this before (DUP).
        message_id: The packet identifier to acknowledge; 0 at QoS 0.
        turn: How often the box's clock had been moved when it came in.
    """

    topic: str
    payload: bytes
    received_ns: int
    qos: int = 0
    retained: bool = False
    redelivered: bool = False
    message_id: int = 0
    turn: int = 0


class Reading(NamedTuple):
    """One value of one metric of one device.

    Attributes:
        device: The device's name, as the profile captured it.
        metric: The payload's own path joined by ``.``; reserved ones begin with ``$``.
        value: A finite number, a bool or a text; an object or array is its compact JSON.
        unit: UCUM-like symbol as printed (``°C``, ``%``, ``kWh``), or None.
        time_ns: When it was measured.
        own_time: The device said the time itself; otherwise it is the time of arrival.
    """

    device: str
    metric: str
    value: Value
    unit: str | None
    time_ns: int
    own_time: bool = False


@dataclass(frozen=True, slots=True)
class Waveform:
    """A block of samples taken at a fixed rate.

    Attributes:
        device: The device's name.
        metric: Its metric (``acc.x``).
        unit: Unit of a sample.
        time_ns: Time of the first sample.
        rate_hz: Samples per second.
        samples: float32 [n].
    """

    device: str
    metric: str
    unit: str | None
    time_ns: int
    rate_hz: float
    samples: NDArray[np.float32]


class Picture(NamedTuple):
    """A picture that came as a message, still encoded.

    Attributes:
        device: The device's name.
        body: The whole JPEG, PNG or WebP file.
        time_ns: When it was taken, or came.
    """

    device: str
    body: bytes
    time_ns: int


class Request(NamedTuple):
    """A message that a protocol wants sent back to its device (Sparkplug's rebirth).

    Attributes:
        topic: Without wildcards.
        payload: The bytes.
    """

    topic: str
    payload: bytes


class Flaw(NamedTuple):
    """Parts of a message that could not be decoded, while others could.

    Attributes:
        bad: How many.
        text: How many of how many, and what is wrong with one of them.
    """

    bad: int
    text: str


class Decoded(NamedTuple):
    """What one message says. Neither readings nor waveforms: the device is alive, no more.

    Attributes:
        profile: The profile that decoded it.
        device: The device that the message is from.
        readings: Its readings.
        waveforms: Its waveforms.
        parents: Devices, and the device through which each speaks; None: nothing is said of it.
        expires_s: After so many seconds of silence the device is away; None: never.
        requests: What the device is to be asked.
        flaw: What of the message is left out because it is malformed; None: nothing is.
        pictures: Pictures, for the plugins that look at cameras.
    """

    profile: str
    device: str
    readings: list[Reading]
    waveforms: list[Waveform]
    parents: dict[str, str] | None = None
    expires_s: float | None = None
    requests: tuple[Request, ...] = ()
    flaw: Flaw | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Which windows a plugin wants.

    A window ends at a reading's own time; the next one ends at the first reading that lies about
    ``hop_s`` later. Which windows there are depends on the readings and their order alone, not on
    how they were batched.

    Attributes:
        metrics: Globs (fnmatch) of the metrics wanted.
        exclude: Globs of those not wanted.
        min_channels: Sources with fewer matching series are left alone.
        max_channels: Of more, the first in the order of their names are taken.
        length_s: How far a window reaches back from its end, in seconds.
        rows: At most this many newest values of each channel (0: all in ``length_s``).
        hop_s: Least distance of two windows' ends; a reading may be a tenth of it early.
        steps: With ``step_s``: the window as a tensor, resampled (the last value at or before
            each step; NaN before the first). 0: no tensor.
        step_s: Distance of two steps.
        sql: A SELECT over the relation ``window (source, end_ns, metric, unit, time_ns, value)``
            that gives ``source``, ``end_ns`` and one numeric column for each feature, or "".
    """

    metrics: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    min_channels: int = 1
    max_channels: int = 16
    length_s: float = 60.0
    rows: int = 0
    hop_s: float = 1.0
    steps: int = 0
    step_s: float = 1.0
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """One series within a window: its metric's name and unit."""

    metric: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows that are due for one plugin, of all sources at once, in columns.

    Within one batch a source may stand several times, in the order of its ends.

    Attributes:
        sources: [B] asset or device that each window is of.
        start_ns, end_ns: int64 [B], the window is (start, end].
        channels: [B] the channels of each window, in order.
        values: float32 [B, steps, max_channels]: the resampled tensor, NaN where there is no value
            (or a channel); [B, 0, 0] when the plugin asked for SQL features.
        features: float32 [B, F]: what the plugin's SQL gave; [B, 0] otherwise.
        feature_names: [F].
        received_ns: int64 [B], arrival of the message that made the window due.
    """

    sources: list[str]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    channels: list[tuple[Channel, ...]]
    values: NDArray[np.float32]
    features: NDArray[np.float32]
    feature_names: tuple[str, ...]
    received_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """Which frames a plugin wants of which cameras.

    Attributes:
        cameras: Globs (fnmatch) of the cameras' names.
        fps: At most so many of each camera in a second; 0: all that it can take.
    """

    cameras: tuple[str, ...] = ("*",)
    fps: float = 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a camera, whole. It goes no further than the plugins' processes.

    Attributes:
        camera: The camera's name.
        number: The camera's frames are numbered from 1 as they are read, decoded or not.
        captured_ns: When it was read from the camera's stream.
        image: uint8 [height, width, 3], BGR; nobody writes to it.
    """

    camera: str
    number: int
    captured_ns: int
    image: NDArray[np.uint8]


Points = tuple[tuple[float, float], ...]
"""A line (2) or a polygon (3 or more), as parts of the picture's width and height: (0, 0) is its
top left, (1, 1) its bottom right."""


@dataclass(frozen=True, slots=True)
class Frames:
    """The newest frames for one plugin, at most one of each camera.

    Attributes:
        frames: [B] the frames.
        places: [B] the lines and zones that the camera's own configuration gives, by name; they
            replace the manifest's of the same name.
    """

    frames: list[Frame]
    places: list[dict[str, Points]]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def sources(self) -> list[str]:
        """Return the camera of each frame."""
        return [frame.camera for frame in self.frames]

    @property
    def end_ns(self) -> NDArray[np.int64]:
        """Return when each was captured, int64 [B]."""
        return np.array([frame.captured_ns for frame in self.frames], np.int64)


class Seen(NamedTuple):
    """One object in a frame.

    Attributes:
        box: Left, top, right, bottom, as parts of the picture's width and height.
        label: Its class.
        score: 0 to 1.
        track: The same number in each frame as long as it is the same object; 0: not tracked.
    """

    box: tuple[float, float, float, float]
    label: str
    score: float
    track: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a plugin found in one window or frame.

    Attributes:
        label: A short word (``normal``, ``anomaly``).
        score: How far from normal, how sure: the plugin's own scale. Finite.
        confidence: 0 to 1, or None where the plugin states none.
        numbers: A few named numbers that explain the result.
        state: What the plugin wants back with this source's next window, or None for no change.
            It is kept in the store and committed with the watermark.
        suppress: Nothing to report, whatever the report policy says (still learning, say).
        since_ns: Of a frame: what it tells began here; 0: with the frame itself.
        seen: Of a frame: the objects in it, for snapshots; they do not leave the box.
    """

    label: str
    score: float
    confidence: float | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    state: bytes | None = None
    suppress: bool = False
    since_ns: int = 0
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeContext:
    """What an outcome is about, as its plugin's manifest says it."""

    domain: str
    asset: str
    kind: str
    regime: str = "any"


@dataclass(frozen=True, slots=True)
class PluginIdentity:
    """Which plugin and model found it."""

    name: str
    version: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is told to the outside about one window of one source."""

    gateway: str
    source: str
    context: OutcomeContext
    plugin: PluginIdentity
    quantities: tuple[tuple[str, str], ...]  # (metric, unit) of what was observed
    start_ns: int
    end_ns: int
    result: Result
    received_ns: int
    clock: str = "ok"
    rank: Rank = "routine"


class Packet(NamedTuple):
    """An outcome in the form in which it leaves.

    Attributes:
        id: The same for the same (gateway, plugin, source, end of window): consumers upsert by it.
        subject: Where it is published at the hub.
        source: Order is kept for each source.
        payload: Compact UTF-8 JSON, at most 512 bytes.
        end_ns: End of the window.
        received_ns: Arrival of the message that made the window due.
        rank: What may become of it when the queue is full.
    """

    id: str
    subject: str
    source: str
    payload: bytes
    end_ns: int
    received_ns: int
    rank: Rank = "routine"
