"""Sees who has fallen silent and who is back: devices, and cameras."""

from collections.abc import Sequence

from gateway.devices.known import Known, Moment, Surrounding
from gateway.devices.silence import Change, Silence, silent_after_s
from gateway.features import Device
from gateway.notices import Notice
from gateway.presence import ONLINE, By, Sign

SILENT = "device-silent"
CAMERA_SILENT = "camera-silent"


class Quiet:
    """Looks at who has not been heard.

    Args:
        around: What is looked at, and who is told.
        known: What is known of each device.
        together: Those whose silence was told as one before the start.
    """

    def __init__(
        self, around: Surrounding, known: dict[str, Known], together: Sequence[str]
    ) -> None:
        self._around = around
        self._known = known
        self._silence = Silence(together)
        told = around.notices.labels(SILENT).items()
        self._silent = {name for name, label in told if label == "silent"} - {around.gateway}
        self._online: list[tuple[int, str]] = []  # number and device of each ``$online``
        self._indexed = 0
        self._cameras_away: dict[str, float] = {}  # since when

    @property
    def together(self) -> list[str]:
        """Return the devices whose silence was told as one."""
        return sorted(self._silence.together)

    @property
    def silent(self) -> list[str]:
        """Return the devices that are silent, told by themselves or together."""
        return sorted(self._silent | self._silence.together)

    def begin_anew(self) -> None:
        """Count no camera's silence from before."""
        self._cameras_away.clear()

    def look(self, devices: Sequence[Device], skip: set[str], moment: Moment) -> bool:
        """Look once; return whether something has changed.

        Args:
            devices: All of them.
            skip: Those that are limited or quarantined: they are not silent but unheard.
            moment: Now.
        """
        signs, presence = self._signs(), self._around.presence
        told = self._silent | self._silence.together
        since_s = moment.now_s - self._around.policy.silent_least_s
        found = {}
        for device in devices:
            name, known = device.name, self._known.get(device.name)
            if known is None or not known.is_live or name in skip:
                continue
            is_plain = name not in signs and name not in presence.expires_s
            if is_plain and known.since_s > since_s and name not in told:
                continue  # as nearly all are
            found[name] = self._is_silent(name, known, signs, moment.now_s)
        changes = self._silence.look(moment.now_s, found, self._silent.__contains__)
        for change in changes:
            self._tell(change, moment)
        self._look_at_cameras(moment)
        return bool(changes)

    def _is_silent(
        self, name: str, known: Known, signs: dict[str, Sign], now_s: float
    ) -> bool | None:
        presence = self._around.presence
        away = presence.away(name, signs)
        if away is By.PARENT:  # its parent tells
            return None
        expires_s = presence.expires_s.get(name)
        limit_s = silent_after_s(known.rhythm, expires_s, self._around.policy)
        if away or (limit_s is not None and now_s - known.since_s > limit_s):
            return True
        if name in self._silent or name in self._silence.together:
            return False if known.has_returned else None
        return False

    def _signs(self) -> dict[str, Sign]:
        """Return the own words of devices that have any."""
        store, register = self._around.store, self._around.store.register
        if len(register.series) < self._indexed:  # the last ones were not stored
            self._indexed, self._online = 0, []
        for series in register.series[self._indexed :]:
            self._indexed += 1
            if series.metric == ONLINE:
                self._online.append((series.number, series.device))
        signs = {}
        for number, name in self._online:
            last, device = store.last(number), register.devices.get(name)
            if last is not None:
                heard_ns = device.last_seen_ns if device else 0
                signs[name] = Sign(bool(last[1]), last[0], heard_ns)
        return signs

    def _tell(self, change: Change, moment: Moment) -> None:
        notices, name, now_ns = self._around.notices, change.device, moment.now_ns
        if not name:
            numbers = {"devices": float(change.devices)}
            notices.tell(
                Notice(SILENT, self._around.gateway, change.label, now_ns, numbers=numbers)
            )
            return
        known = self._known[name]
        silent_s = moment.now_s - known.heard_s if change.label == "silent" else 0.0
        numbers = {"silent_s": silent_s, "usual_s": known.rhythm.mean_s}
        notices.tell(
            Notice(
                SILENT, name, change.label, now_ns, asset="device",
                start_ns=now_ns - int(silent_s * 1e9), numbers=numbers,
            )
        )  # fmt: skip
        if change.label == "silent":
            self._silent.add(name)
            known.has_returned = False
        else:
            self._silent.discard(name)

    def _look_at_cameras(self, moment: Moment) -> None:
        notices, least_s = self._around.notices, self._around.policy.silent_least_s
        for name, is_there in self._around.cameras().items():
            last = notices.last(CAMERA_SILENT, name)
            was_silent = last is not None and last.label == "silent"
            if is_there:
                self._cameras_away.pop(name, None)
                label, silent_s, is_due = "back", 0.0, was_silent
            else:
                silent_s = moment.now_s - self._cameras_away.setdefault(name, moment.now_s)
                label, is_due = "silent", not was_silent and silent_s > least_s
            if is_due:
                numbers = {"silent_s": silent_s}
                notices.tell(
                    Notice(CAMERA_SILENT, name, label, moment.now_ns, asset="camera",
                           start_ns=moment.now_ns - int(silent_s * 1e9), numbers=numbers)
                )  # fmt: skip
