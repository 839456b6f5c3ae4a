"""The devices: who is too loud, who is silent, and whether there is room for more."""

import shlex
from collections.abc import Iterator

from gateway.doctor.finding import Box, Document, Finding, ok, warn

_MOST = 10
_CROWDED = ("too_many_devices", "too_many_series")


def devices(box: Box) -> Iterator[Finding]:
    """Tell which devices are unwell."""
    if box.status is None:
        return
    yield from noisy(box.status["noisy"])
    yield from silent(box.status["silent"])
    yield from crowded(box.status["messages"]["dead_letters"])
    yield ok(f"{box.status['devices']:,} devices are known")


def noisy(cases: list[Document]) -> Iterator[Finding]:
    """Yield what is said of those that are limited or quarantined."""
    for each in cases[:_MOST]:
        name = each["device"]
        what = "only garbage comes from" if each["why"] == "garbage" else "too much comes from"
        usual = f", usually {each['usual_hz']:.3g}" if each["usual_hz"] else ""
        yield warn(
            f"{what} {name}: {each['rate_hz']:,.0f} messages/s{usual}; it is {each['state']}, "
            f"{each['shed']:,} were not looked at",
            "correct it or take it off; it is released by itself once it behaves, or by "
            f"weir device release {shlex.quote(name)}; [devices] has the limits",
        )
    if len(cases) > _MOST:
        yield warn(f"{len(cases) - _MOST} more are limited or quarantined", "weir devices")


def silent(names: list[str]) -> Iterator[Finding]:
    """Yield which devices are silent."""
    if names:
        shown = ", ".join(names[:_MOST])
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        yield warn(
            f"silent: {shown}{more}", "their power, batteries and network; weir devices: since when"
        )


def crowded(dead_letters: dict[str, int]) -> Iterator[Finding]:
    """Yield whether there was no room for a device or a metric."""
    count = sum(dead_letters.get(reason, 0) for reason in _CROWDED)
    if count:
        yield warn(
            f"{count:,} messages came of devices or metrics for which there is no room",
            "weir deadletters names some; if they are no made-up names, raise [devices] most...",
        )
