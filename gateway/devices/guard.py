"""Looks at all devices once a second: who is too loud, and who has fallen silent."""

import asyncio
import time
from collections.abc import Sequence
from threading import Lock
from typing import Any

from gateway.devices import memory
from gateway.devices.gatekeeper import Gatekeeper
from gateway.devices.known import Known, Moment, Surrounding
from gateway.devices.noise import Noise
from gateway.devices.quiet import Quiet
from gateway.devices.rhythm import Rhythm
from gateway.features import Device

LOOK_S = 1.0
_QUIET_S = 5.0
_STALLED_S = 5.0  # a look so late: the gateway was away, not the devices
_SAVE_S = 900.0


class Guard:
    """Sees to it that a device's conduct is told, and that no other suffers by it.

    Args:
        around: What it looks at, and whom it tells.
    """

    def __init__(self, around: Surrounding) -> None:
        self._around = around
        habits = memory.load(around.path)
        kept = list(habits.rhythms.items())[: around.policy.most]
        self._known = {name: Known(rhythm) for name, rhythm in kept}
        self._noise = Noise(around, self._known)
        self._noise.recall(habits.cases)
        self._quiet = Quiet(around, self._known, habits.together)
        self._link: int | None = None
        self._writing = Lock()
        self._looked_s = self._looked_quiet_s = self._saved_s = 0.0

    @property
    def keeper(self) -> Gatekeeper:
        """Return what the pipeline asks of each message while anybody is watched."""
        return self._noise.keeper

    def note_bad(self, topic: str) -> None:
        """Count a message that could not be decoded."""
        self._noise.note_bad(topic)

    def cases(self) -> list[dict[str, Any]]:
        """Return who is limited or quarantined, JSON-ready, the longest first."""
        return self._noise.cases()

    def silent(self) -> list[str]:
        """Return the devices that are silent."""
        return self._quiet.silent

    def usual_s(self, name: str) -> float | None:
        """Return the usual interval of a device whose silence would mean something."""
        rhythm = self._known[name].rhythm if name in self._known else Rhythm()
        return rhythm.mean_s if rhythm.is_regular(self._around.policy.learn_s) else None

    def release(self, name: str) -> bool:
        """Let a limited or quarantined device speak again; return whether it was one."""
        was_one = self._noise.release(name, Moment(time.monotonic(), self._around.clock.now_ns()))
        if was_one:
            self._save()
        return was_one

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                if self.look(time.monotonic(), self._around.clock.now_ns()):
                    await asyncio.to_thread(self._write, self._habits())
        finally:
            self._save()

    def look(self, now_s: float, now_ns: int) -> bool:
        """Look once; return whether there is something to keep.

        Args:
            now_s: A clock that only goes forward.
            now_ns: Unix time.
        """
        link, moment = self._around.link(), Moment(now_s, now_ns, now_s - self._looked_s)
        is_away = link is None or link != self._link
        self._link, self._looked_s = link, now_s
        devices = list(self._around.store.register.devices.values())
        if is_away:
            self._begin_anew(devices, moment)
            return False
        if moment.span_s > _STALLED_S:
            self._count_silence_anew(now_s)
        is_changed = self._noise.look(devices, moment)
        if now_s - self._looked_quiet_s >= _QUIET_S:
            self._looked_quiet_s = now_s
            skip = {case["device"] for case in self._noise.cases()}
            is_changed |= self._quiet.look(devices, skip, moment)
        if now_s - self._saved_s >= _SAVE_S:
            self._saved_s, is_changed = now_s, True
        return is_changed

    def _begin_anew(self, devices: Sequence[Device], moment: Moment) -> None:
        """Judge nobody by the time in which the gateway or its broker was away."""
        self._noise.begin_anew()
        self._saved_s = self._saved_s or moment.now_s
        for device in devices:
            known = self._known.get(device.name)
            if known is None:
                is_live = device.last_seen_ns > device.first_seen_ns
                known = self._known[device.name] = Known(Rhythm(), is_live=is_live)
            if known.messages < 0:
                known.meet(device, moment)
            known.messages, known.seen_ns = device.messages, device.last_seen_ns
        self._count_silence_anew(moment.now_s)

    def _count_silence_anew(self, now_s: float) -> None:
        self._quiet.begin_anew()
        for known in self._known.values():
            known.since_s = now_s

    def _save(self) -> None:
        self._write(self._habits())

    def _write(self, habits: memory.Habits) -> None:
        with self._writing:
            memory.save(self._around.path, habits)

    def _habits(self) -> memory.Habits:
        """Return a copy of what is to be kept, for another thread."""
        return memory.copy(
            {name: known.rhythm for name, known in self._known.items() if known.rhythm.gaps},
            {case.pop("device"): case for case in self._noise.cases()},
            self._quiet.together,
        )
