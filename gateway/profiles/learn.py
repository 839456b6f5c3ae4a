"""The verb ``learn``: what a message says about the values of others."""

from typing import Any

from gateway.errors import DecodeError
from gateway.profiles.expressions import Envelope, Evaluate, expression, text_or_expression
from gateway.profiles.memory import Lesson
from gateway.profiles.message import MAX_VALUES, Message, Run
from gateway.profiles.schema import LearnStep
from gateway.profiles.template import Template, template
from gateway.profiles.words import checked_name, unit_symbol

_MAX_TOPIC_CHARS = 256
_MAX_WORD_CHARS = 64


def learn(step: LearnStep) -> Run:
    """Compile the step; it raises DecodeError ``bad_metric`` and ``too_many_values``."""
    metric_of = _text(step.learn)
    unit_of, kind_of = _text(step.unit), _text(step.kind)
    on_of = _evaluated(step.on)
    off_of = _evaluated(step.off)
    topic_of, template_of = _text(step.topic), _text(step.template)
    mode_of = _text(step.mode)

    def run(message: Message) -> None:
        envelope = message.envelope
        metric = metric_of(envelope)
        if metric is None or message.lessons is None:
            return
        topic = _topic(topic_of(envelope))
        lesson = Lesson(
            message.device,
            checked_name("metric", metric),
            unit_symbol(unit) if (unit := unit_of(envelope)) and len(unit) <= 32 else None,
            kind_of(envelope),
            _word(on_of(envelope)),
            _word(off_of(envelope)),
            topic,
            None if topic is None else _template(template_of(envelope)),
            mode_of(envelope),
        )
        message.lessons.append(lesson)
        if len(message.lessons) > MAX_VALUES:
            raise DecodeError("too_many_values", f"more than {MAX_VALUES} lessons")

    return run


def _text(text: str | None) -> Evaluate:
    """Return what gives a text, None where it gives anything else."""
    found = None if text is None else text_or_expression(text)
    if not callable(found):
        return lambda _: found
    of = found

    def evaluated(envelope: Envelope) -> str | None:
        value = of(envelope)
        return value if type(value) is str and value else None

    return evaluated


def _evaluated(text: str | None) -> Evaluate:
    return (lambda _: None) if text is None else expression(text)


def _topic(topic: str | None) -> str | None:
    """Return a topic on which a message can come, None for what is none."""
    if topic is None or len(topic) > _MAX_TOPIC_CHARS or any(c in topic for c in "+#\0"):
        return None
    return topic


def _template(text: str | None) -> Template | None:
    return template(text)


def _word(value: Any) -> str | None:  # noqa: ANN401 - JSON
    if type(value) is bool or value is None:
        return None  # true and false mean themselves
    text = str(value) if type(value) in {str, int, float} else ""
    return text if 0 < len(text) <= _MAX_WORD_CHARS else None
