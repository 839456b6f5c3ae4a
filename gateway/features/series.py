"""Which series and devices there are: names to small numbers, and back."""

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from gateway.model import Decoded, RawMessage

_TEXT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one device.

    Attributes:
        number: Its row everywhere in the store.
        source: The asset that the device belongs to, or the device itself.
        source_number: The source's row.
        switch: Its values are true and false, kept as 1 and 0.
    """

    number: int
    device: str
    metric: str
    unit: str | None
    profile: str
    source: str
    source_number: int
    switch: bool = False

    @property
    def channel(self) -> str:
        """Return its name within the source: with the device where the source is an asset."""
        return self.metric if self.source == self.device else f"{self.device}.{self.metric}"


class Capacity(NamedTuple):
    """How many devices and series there may be; made-up names must not fill the memory.

    Attributes:
        series_each: Of one device.
    """

    devices: int = 10_000
    series: int = 200_000
    series_each: int = 5000


CAPACITY = Capacity()
NONE = -1
"""In place of a series' number: there is no room for it."""
TOO_MANY_DEVICES = "too_many_devices"
TOO_MANY_SERIES = "too_many_series"


@dataclass(slots=True)
class Device:
    """A device as it is known now."""

    name: str
    profile: str
    source: str
    first_seen_ns: int
    last_seen_ns: int
    messages: int = 0


class Register:
    """All series and devices; new ones are kept apart until the store has written them.

    Args:
        assets: Device name to the name of the asset it belongs to.
        capacity: How many there may be; those that the store has already all have room.

    Attributes:
        refused: How often there was no room for a series.
    """

    def __init__(self, assets: dict[str, str], capacity: Capacity = CAPACITY) -> None:
        self._assets = assets
        self._capacity = capacity
        self._held: dict[str, int] = {}  # how many series each device has
        self.refused = 0
        self._numbers: dict[tuple[str, str], int] = {}
        self._source_numbers: dict[str, int] = {}
        self.series: list[Series] = []
        self.sources: list[str] = []
        self.devices: dict[str, Device] = {}
        self.new: list[Series] = []
        self.changed: dict[int, Series] = {}  # another unit than before: a profile was corrected
        self.touched: set[str] = set()
        self.texts: dict[int, tuple[int, str]] = {}  # time and value of each series' last text
        self.source_of = np.empty(0, dtype=np.int32)

    def number(self, device: str, metric: str, unit: str | None, profile: str) -> int:
        """Return the series' number; one that is not known yet is given the next, or `NONE`."""
        known = self._numbers.get((device, metric))
        if known is not None:
            if unit is not None and unit != self.series[known].unit:
                self.changed[known] = replace(self.series[known], unit=unit, profile=profile)
            return known
        if self.lacks_room(device, 1):
            self.refused += 1
            return NONE
        series = self.restore(device, metric, unit, profile)
        self.new.append(series)
        return series.number

    def lacks_room(self, device: str, series: int = 0) -> str:
        """Return why a device with so many more series has no room; "" if it has."""
        held = self._held.get(device)
        if held is None and len(self._held) >= self._capacity.devices:
            return TOO_MANY_DEVICES
        if series and (
            (held or 0) + series > self._capacity.series_each
            or len(self.series) + series > self._capacity.series
        ):
            return TOO_MANY_SERIES
        return ""

    def restore(
        self, device: str, metric: str, unit: str | None, profile: str, *, switch: bool = False
    ) -> Series:
        """Add a series that the store has already."""
        source = self._assets.get(device, device)
        if source not in self._source_numbers:
            self._source_numbers[source] = len(self.sources)
            self.sources.append(source)
        number = len(self.series)
        source_number = self._source_numbers[source]
        series = Series(number, device, metric, unit, profile, source, source_number, switch)
        self._numbers[device, metric] = number
        self._held[device] = self._held.get(device, 0) + 1
        self.series.append(series)
        if number >= len(self.source_of):
            grown = np.full(max(256, 2 * len(self.source_of)), -1, dtype=np.int32)
            grown[: len(self.source_of)] = self.source_of
            self.source_of = grown
        self.source_of[number] = series.source_number
        return series

    def note_switches(self, numbers: Set[int]) -> None:
        """Say which of the series that are new have begun with true or false."""
        for i, series in enumerate(self.new):
            if series.number in numbers:
                self.new[i] = self.series[series.number] = replace(series, switch=True)

    def note_text(self, number: int, time_ns: int, value: str) -> None:
        """Note a series' newest text; the beginning of a long one."""
        self.texts[number] = time_ns, value[:_TEXT_CHARS]

    def settle(self) -> None:
        """Take what was new and changed as written."""
        for number, series in self.changed.items():
            self.series[number] = series
        self.changed.clear()
        self.new.clear()

    def forget_new(self, first: int) -> None:
        """Take back the series from number ``first`` on: their transaction did not commit."""
        for series in self.series[first:]:
            del self._numbers[series.device, series.metric]
            self._held[series.device] -= 1
            if not self._held[series.device] and series.device not in self.devices:
                del self._held[series.device]
        del self.series[first:]
        self.new.clear()
        self.changed.clear()

    def know(self, device: Device) -> None:
        """Add a device that the store has already."""
        self.devices[device.name] = device
        self._held.setdefault(device.name, 0)

    def see(self, decoded: Decoded, raw: RawMessage) -> None:
        """Note that a device spoke; what the broker had kept is no sign that it still does."""
        received_ns = raw.received_ns
        device = self.devices.get(decoded.device)
        if device is None:
            if self.lacks_room(decoded.device):
                return
            source = self._assets.get(decoded.device, decoded.device)
            device = Device(decoded.device, decoded.profile, source, received_ns, received_ns)
            self.know(device)
        if not raw.retained:
            device.last_seen_ns = received_ns
        device.messages += 1
        self.touched.add(decoded.device)
