"""The verbs of ``emit``: closures that add readings and waveforms to what a message says."""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import DecodeError
from gateway.model import Reading, Request, Waveform
from gateway.profiles.expressions import (
    Envelope,
    Evaluate,
    expression,
    text_or_expression,
)
from gateway.profiles.flatten import flatten
from gateway.profiles.functions import truthy
from gateway.profiles.learn import learn
from gateway.profiles.message import MAX_VALUES, Message, Run
from gateway.profiles.parts import decode_part
from gateway.profiles.schema import (
    AnyStep,
    DecodeStep,
    EachStep,
    FlattenStep,
    LearnStep,
    MetricStep,
    OnlineStep,
    RequestStep,
    Step,
    Units,
)
from gateway.profiles.schema import Time as TimeOption
from gateway.profiles.times import Clock, TimeSource, clock, reader
from gateway.profiles.treatments import (
    NUMBERS,
    PLAIN_TYPES,
    CompiledTreatment,
    Treatments,
    compile_unit,
    json_text,
    plain,
)
from gateway.profiles.words import checked_name

ONLINE = "$online"
_MAX_NAMES = 4096
_UP = ("online", "true", "1", "on", "connected", "up", "alive", "ready")
_DOWN = ("offline", "false", "0", "off", "disconnected", "down", "lost")


def compile_steps(steps: Sequence[AnyStep], units: Sequence[Units], zone: tzinfo) -> list[Run]:
    """Compile the steps of an ``emit``.

    Args:
        steps: As written.
        units: The unit tables of the rule and of the profile, in this order.
        zone: The site's time zone.
    """
    return [_compile(step, units, zone) for step in steps]


def compile_clock(sources: Sequence[TimeOption], zone: tzinfo) -> Clock | None:
    """Compile ordered time sources."""
    return clock(
        [TimeSource(expression(s.source), reader(s.form, s.strptime, zone)) for s in sources]
    )


def device_name(value: object) -> str:
    """Return a device's name.

    Raises:
        DecodeError: ``no_device``: there is none; ``bad_device``: it cannot be a name.
    """
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        raise DecodeError("no_device", "the expression for the device gives no text")
    return checked_name("device", value)


def _compile(step: AnyStep, units: Sequence[Units], zone: tzinfo) -> Run:
    if isinstance(step, EachStep):
        return _each(step, compile_steps(step.emit, [step.units, *units], zone), zone)
    return _scoped(step, _body(step, units, zone), zone)


def _body(
    step: MetricStep | FlattenStep | OnlineStep | LearnStep | DecodeStep | RequestStep,
    units: Sequence[Units],
    zone: tzinfo,
) -> Run:
    treatments = Treatments(step.units, *units)
    match step:
        case DecodeStep():
            run = decode_part(step, compile_steps(step.emit, [step.units, *units], zone))
        case LearnStep():
            run = learn(step)
        case RequestStep():
            run = _request(step)
        case FlattenStep():
            run = flatten(step, treatments)
        case OnlineStep():
            run = _online(step)
        case MetricStep():
            run = _metric(step, treatments)
    return run


def _scoped(step: Step, run: Run, zone: tzinfo) -> Run:
    """Put a step's ``where``, ``device`` and ``ts`` around it."""
    where = expression(step.where) if step.where else None
    scope = _scope(step, zone)
    if where is None and scope is None:
        return run

    def scoped(message: Message) -> None:
        if where is not None and not truthy(where(message.envelope)):
            return
        if scope is None:
            run(message)
            return
        outer = message.device, message.time_ns, message.own_time
        scope(message)
        run(message)
        message.device, message.time_ns, message.own_time = outer

    return scoped


def _scope(step: Step, zone: tzinfo) -> Run | None:
    """Return what sets a step's own device and time, None when it has neither."""
    device = None if step.device is None else text_or_expression(step.device)
    parent = None if step.parent is None else text_or_expression(step.parent)
    own_clock = compile_clock(step.ts, zone)
    if device is None and own_clock is None and parent is None:
        return None

    def scope(message: Message) -> None:
        if device is not None:
            value = device if isinstance(device, str) else device(message.envelope)
            message.device = device_name(value)
        if parent is not None:
            message.note_parent(parent if isinstance(parent, str) else parent(message.envelope))
        if own_clock is not None:
            found = own_clock(message.envelope, message.received_ns)
            if found is not None:  # else the time of what is around it stands
                message.time_ns, message.own_time = found, True

    return scope


def _each(step: EachStep, steps: list[Run], zone: tzinfo) -> Run:
    elements, name = expression(step.each), step.name
    where = expression(step.where) if step.where else None
    scope = _scope(step, zone)

    def each(message: Message) -> None:
        outer = message.envelope
        items = elements(outer)
        if items is None:
            return
        if type(items) is not list:
            raise DecodeError("bad_shape", f"{step.each} gives no array")
        if len(items) > MAX_VALUES:
            raise DecodeError("too_many_values", f"{len(items)} elements")
        kept = message.device, message.time_ns, message.own_time
        for item in items:
            message.envelope = {**outer, name: item}
            if where is not None and not truthy(where(message.envelope)):
                continue
            if scope is not None:
                scope(message)
            for run in steps:
                run(message)
            if scope is not None:
                message.device, message.time_ns, message.own_time = kept
        message.envelope = outer

    return each


def _metric(step: MetricStep, treatments: Treatments) -> Run:
    value_of, named = expression(step.value), _namer(step, treatments)
    rate_of = None if step.fs is None else _rate(step.fs)
    as_json = step.json_text or (step.metric.startswith("$") and step.metric[:2] != "${")
    can_be_text = step.numbers

    def metric(message: Message) -> None:
        value = value_of(message.envelope)
        if value is None:
            return
        found = named(message.envelope)
        if found is None:
            return
        name, (unit, unit_of, convert) = found
        if unit_of is not None:
            unit = unit_of(message.envelope)
        if rate_of is not None:
            rate_hz, samples = rate_of(message.envelope), _samples(value)
            if len(samples):
                message.waveforms.append(
                    Waveform(message.device, name, unit, message.time_ns, rate_hz, samples)
                )
            return
        if can_be_text and message.memory and message.memory.is_text(message.device, name):
            known = plain(value)  # and not the number that it looks like
        elif as_json and type(value) not in PLAIN_TYPES:
            message.note_picture(value)
            known = json_text(value, compact=name.startswith("$"))
        else:
            known = plain(value) if convert is None else convert(value, message.envelope)
        if known is not None:
            said = unit if type(known) in NUMBERS else None
            message.readings.append(
                Reading(message.device, name, known, said, message.time_ns, message.own_time)
            )
            message.check_count()

    return metric


Named = tuple[str, CompiledTreatment]


def _namer(step: MetricStep, treatments: Treatments) -> Callable[[Envelope], Named | None]:
    """Return what gives a metric's name and its treatment."""
    name = text_or_expression(step.metric)
    unit, unit_of = compile_unit(step.unit)

    def treatment(metric: str) -> CompiledTreatment:
        found = treatments.of(metric, numbers=step.numbers)
        return found._replace(unit=unit, unit_of=unit_of) if step.unit is not None else found

    if isinstance(name, str):
        fixed = checked_name("metric", name), treatment(name)
        return lambda _: fixed
    cache: dict[str, Named] = {}

    def named(envelope: Envelope) -> Named | None:
        metric = name(envelope)
        if metric is None:
            return None
        found = cache.get(metric)
        if found is None:
            if type(metric) is not str or metric.startswith("$"):
                # Names that come with the message cannot be the reserved ones.
                raise DecodeError("bad_metric", repr(metric)[:60])
            found = checked_name("metric", metric), treatment(metric)
            if len(cache) >= _MAX_NAMES:
                cache.clear()
            cache[metric] = found
        return found

    return named


def _rate(fs: float | str) -> Evaluate:
    rate = expression(fs) if isinstance(fs, str) else (lambda _: fs)

    def rate_hz(envelope: Envelope) -> float:
        value = rate(envelope)
        if type(value) not in {int, float} or not 0 < value < 1e9:
            raise DecodeError("bad_rate", repr(value)[:40])
        return float(value)

    return rate_hz


def _samples(value: Any) -> NDArray[np.float32]:  # noqa: ANN401 - an array or JSON
    if isinstance(value, np.ndarray):
        return value
    if type(value) is not list or any(type(v) not in {int, float} for v in value):
        raise DecodeError("bad_samples", "not an array of numbers")
    with np.errstate(over="ignore"):
        samples = np.asarray(value, np.float32)
    if not np.isfinite(samples).all():
        raise DecodeError("bad_samples", "not finite")
    return samples


def _online(step: OnlineStep) -> Run:
    value_of = expression(step.online)
    up = {_word(word) for word in (*_UP, *step.up)} - {_word(word) for word in step.down}
    down = {_word(word) for word in (*_DOWN, *step.down)} - up

    def online(message: Message) -> None:
        value = value_of(message.envelope)
        if value is None:
            return
        word = _word(value)
        if word not in up and word not in down:
            raise DecodeError("unknown_state", repr(value)[:60])
        message.readings.append(
            Reading(message.device, ONLINE, word in up, None, message.time_ns, message.own_time)
        )
        message.check_count()

    return online


def _request(step: RequestStep) -> Run:
    asked_of = expression(step.request)

    def request(message: Message) -> None:
        asked = asked_of(message.envelope)
        if asked is None:
            return
        topic = asked["topic"]
        if type(topic) is not str or not topic or any(mark in topic for mark in "+#\0"):
            raise DecodeError("bad_shape", f"{step.request} gives no topic")
        message.requests = (*message.requests, Request(topic, bytes.fromhex(asked["payload"])))

    return request


def _word(value: object) -> str:
    return str(value).strip().casefold() if type(value) in {str, int, bool} else ""
