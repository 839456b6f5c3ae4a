r"""InfluxDB line protocol.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/:
``measurement,tag=value field=1.5,other="text" 1700000000000000000``; or as Telegraf's ``json``
serializer writes the same: ``{"name": ..., "tags": {}, "fields": {}, "timestamp": 1700000000}``.
"""

import re
from math import isfinite
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import MAX_PAYLOAD_BYTES, Codec, Options

MAX_LINES = 4096

# A backslash escapes what would end the name, and else stands for itself; no name holds a newline.
# The quantifiers are possessive, so that no text makes the matching take long.
_NAME = r"(?:[^,= \n\\]|\\[,= ]|\\)++"
_MEASUREMENT = r"(?:[^, \n\\]|\\[, ]|\\)++"
_TEXT = r'"(?:[^"\\]|\\.)*+"'
_VALUE = rf"(?:{_TEXT}|[^,\" \r\n]++)"
_FIELD = rf"{_NAME}={_VALUE}"
_LINE = re.compile(
    rf"(?P<measurement>{_MEASUREMENT})(?P<tags>(?:,{_NAME}={_NAME})*+)[ ]++"
    rf"(?P<fields>{_FIELD}(?:,{_FIELD})*+)(?:[ ]++(?P<time>[+-]?\d{{1,19}}))?[ \r]*+(?=\n|\Z)",
    re.DOTALL,
)
_TAG = re.compile(rf",({_NAME})=({_NAME})", re.DOTALL)
_ONE_FIELD = re.compile(rf"({_NAME})=({_VALUE})", re.DOTALL)
_ESCAPED = re.compile(r"\\([,= ])")
_ESCAPED_IN_TEXT = re.compile(r'\\(["\\])')
_NUMBER = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d{1,4})?")
_WHOLE = re.compile(r"[+-]?\d{1,20}")
_TRUE, _FALSE = {"t", "T", "true", "True", "TRUE"}, {"f", "F", "false", "False", "FALSE"}


class InfluxOptions(Options):
    """``influx``: ``p.lines``, array of ``{measurement, series, device, tags, fields, time}``.

    ``time`` is the number as it came, of whatever precision (in JSON: ``timestamp``, in its own
    precision, and ``time`` is null); ``series`` the measurement and, behind
    a colon, the values of the tags that do not name the device, so that two series never become
    one. ``p.bad`` counts the lines that were left out because they are malformed, ``p.why`` says
    of the last one what is wrong with it.

    Attributes:
        device_tags: Tags that name the device, the first that a line has counts.
        ignore_tags: Tags that do not tell series apart.
    """

    parts: ClassVar[str] = "lines"
    name: Literal["influx"] = "influx"
    device_tags: tuple[str, ...] = Field(
        default=("host", "device", "device_id", "sensor_id"), max_length=32
    )
    ignore_tags: tuple[str, ...] = Field(default=(), max_length=64)

    def build(self) -> Codec:
        """Return the codec.

        It raises DecodeError ``bad_line`` (no line is good), ``bad_utf8``, ``empty_payload``,
        ``too_many_values`` and ``too_large``.
        """
        device_tags, ignored = self.device_tags, frozenset(self.ignore_tags)

        def decode(message: RawMessage) -> dict[str, Any]:
            lines, bad, why = _json_metrics(message.payload) or _lines(_text(message.payload))
            for line in lines:
                tags: dict[str, str] = line["tags"]
                of_device = next((tag for tag in device_tags if tag in tags), None)
                others = sorted(tags.keys() - ignored - {of_device})
                line["device"] = None if of_device is None else tags[of_device]
                line["series"] = ":".join([line["measurement"], *(tags[tag] for tag in others)])
            return {"lines": lines, "bad": bad, "why": why}

        return decode


def _json_metrics(payload: bytes) -> tuple[list[dict[str, Any]], int, str] | None:
    """Return Telegraf's JSON as lines, and how many are none; None where it is not that.

    A brace may also begin a measurement's name.
    """
    if payload[:1] not in {b"{", b"["} or len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if type(found) is dict:
        batch = found.get("metrics")
        found = batch if type(batch) is list else [found]
    if type(found) is not list or len(found) > MAX_LINES:
        return None
    lines = [metric for metric in map(_json_metric, found) if metric is not None]
    return (lines, len(found) - len(lines), "no metric of Telegraf's") if lines else None


def _json_metric(metric: object) -> dict[str, Any] | None:
    if type(metric) is not dict:
        return None
    name, values, tags = metric.get("name"), metric.get("fields"), metric.get("tags") or {}
    if type(name) is not str or type(values) is not dict or type(tags) is not dict:
        return None
    return {
        "measurement": name,
        "tags": {key: tag for key, tag in tags.items() if type(tag) is str},
        "fields": values,
        "time": None,
        "timestamp": metric.get("timestamp"),
    }


def _text(payload: bytes) -> str:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"{len(payload)} bytes")
    try:
        return payload.decode()
    except UnicodeDecodeError as exc:
        raise DecodeError("bad_utf8", str(exc)) from exc


def _lines(text: str) -> tuple[list[dict[str, Any]], int, str]:
    """Return the good lines, the number of bad ones, and why; a text may hold newlines."""
    found: list[dict[str, Any]] = []
    bad = at = 0
    reason = ""
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if text[at] != "#" and text[at:end].strip():
            line = _LINE.match(text, at + len(text[at:end]) - len(text[at:end].lstrip()))
            try:
                if line is None:
                    raise ValueError(repr(text[at : min(end, at + 60)]))  # noqa: TRY301 - one place
                found.append(_point(line))
                end = line.end()
            except ValueError as exc:
                bad, reason = bad + 1, str(exc)
            if len(found) + bad > MAX_LINES:
                raise DecodeError("too_many_values", f"more than {MAX_LINES} lines")
        at = end + 1
    if bad and not found:
        raise DecodeError("bad_line", reason)
    if not found:
        raise DecodeError("empty_payload")
    return found, bad, reason


def _point(line: "re.Match[str]") -> dict[str, Any]:
    tags = {_unescaped(k): _unescaped(v) for k, v in _TAG.findall(line["tags"])}
    values = {_unescaped(k): _value(v) for k, v in _ONE_FIELD.findall(line["fields"])}
    return {
        "measurement": _unescaped(line["measurement"]),
        "tags": tags,
        "fields": values,
        "time": None if line["time"] is None else int(line["time"]),
    }


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(r"\1", name) if "\\" in name else name


def _value(text: str) -> float | int | bool | str:
    """Return a field's value; raise ValueError where it is none."""
    if text[0] == '"':
        return _ESCAPED_IN_TEXT.sub(r"\1", text[1:-1])
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[-1] in "iu" and _WHOLE.fullmatch(text[:-1]):
        whole = int(text[:-1])
        lowest, highest = (-(2**63), 2**63) if text[-1] == "i" else (0, 2**64)
        if not lowest <= whole < highest:
            raise ValueError(f"{text} does not fit into 64 bits")
        return whole
    if len(text) > 400 or not _NUMBER.fullmatch(text) or not isfinite(float(text)):
        raise ValueError(f"{text[:40]!r} is no value")
    return float(text)
