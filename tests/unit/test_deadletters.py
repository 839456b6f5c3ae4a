import pytest

from gateway.deadletters import Unreadable, printable
from gateway.model import RawMessage


def message(topic: str = "x/y", payload: bytes = b"p") -> RawMessage:
    return RawMessage(topic, payload, 5)


def test_topic_is_counted_with_its_last_payload_when_nobody_claims_it() -> None:
    unreadable = Unreadable()
    unreadable.note_unclaimed(message(payload=b"first"))
    unreadable.note_unclaimed(message(payload=b"last"))
    seen = unreadable.unclaimed["x/y"]
    assert (seen.messages, seen.payload, seen.last_ns) == (2, b"last", 5)


def test_topic_is_forgotten_when_a_profile_has_come_to_claim_it() -> None:
    unreadable = Unreadable()
    for topic in ("x/y", "x/z"):
        unreadable.note_unclaimed(message(topic))
    unreadable.forget_claimed(lambda topic: topic == "x/y")
    assert list(unreadable.unclaimed) == ["x/z"]


def test_topics_are_bounded_when_somebody_makes_up_thousands() -> None:
    unreadable = Unreadable()
    for n in range(1500):
        unreadable.note_unclaimed(message(f"t/{n}"))
    unreadable.note_unclaimed(message("t/0"))
    assert len(unreadable.unclaimed) == 1001
    assert unreadable.unclaimed["(other topics)"].messages == 500
    assert unreadable.unclaimed["t/0"].messages == 2


def test_samples_are_few_a_second_when_one_reason_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("gateway.deadletters.time.monotonic", lambda: now[0])
    unreadable = Unreadable()
    kept = [unreadable.sample(message(), "bad_json", "", "tasmota") for _ in range(50)]
    assert sum(letter is not None for letter in kept) == 20
    assert unreadable.sample(message(), "too_deep", "", "json") is not None
    now[0] += 1.0
    assert unreadable.sample(message(), "bad_json", "", "tasmota") is not None


def test_letter_says_what_and_why_when_kept() -> None:
    letter = Unreadable().sample(message("a\ud800/b", b"\xff\x00{"), "bad_utf8", "at 0", "json")
    assert letter is not None
    assert letter.topic == "a\\xed\\xa0\\x80/b"
    assert (letter.reason, letter.detail, letter.profile) == ("bad_utf8", "at 0", "json")
    assert (letter.sample, letter.size_bytes) == ("\\xff\\x00{", 3)


def test_sample_is_short_and_printable_when_the_payload_is_neither() -> None:
    assert printable("grün\n\x1b[31m".encode()) == "grün\\n\\x1b[31m"
    assert printable(b"a" * 10_000) == "a" * 256
