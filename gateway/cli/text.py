"""Numbers and moments as people read them."""

from datetime import UTC, datetime
from math import floor, log10

_TEXT_CHARS = 24


def moment(text: str | int) -> str:
    """Return an ISO timestamp or Unix milliseconds as a UTC time of day, with the date if old."""
    if isinstance(text, int):
        at = datetime.fromtimestamp(text / 1000, UTC)
    else:
        at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    today = datetime.now(UTC).date() == at.date()
    return at.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def stamp(text: str | int) -> str:
    """Return the same with the day always, so that rows printed one by one stay in line."""
    if isinstance(text, int):
        at = datetime.fromtimestamp(text / 1000, UTC)
    else:
        at = datetime.fromisoformat(text)
    return at.strftime("%m-%d %H:%M:%S")


def size(size_bytes: float) -> str:
    """Return bytes with a decimal unit."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


def span(seconds: float) -> str:
    """Return a duration in its two largest units."""
    seconds = int(seconds)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{n} {unit}" for n, unit in parts if n][:2]
    return " ".join(shown) or "0 s"


def ago(seconds: float) -> str:
    """Return how long ago something was; a clock set back does not make it the future."""
    return "now" if seconds < 1 else f"{span(seconds)} ago"


def millis(milliseconds: float | None) -> str:
    """Return a latency with two or three digits that matter; "-" where there is none."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def value(found: float | bool | str, unit: str | None) -> str:
    """Return a reading and its unit: a number with five digits that matter, a text cut short."""
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str):
        return one_line(found, _TEXT_CHARS)
    return f"{_number(found)} {unit or ''}".rstrip()


def _number(number: float) -> str:
    """Return a number as people write it; whole ones with all their digits."""
    if number == 0 or not 1e-4 <= abs(number) < 1e15:
        return f"{number:.5g}"
    if number == int(number):
        return f"{int(number):,}"
    shown = f"{number:,.{max(0, 4 - floor(log10(abs(number))))}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def numbers(named: dict[str, float]) -> str:
    """Return an outcome's named numbers."""
    return ", ".join(f"{name} {number:.3g}" for name, number in named.items())


def one_line(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
