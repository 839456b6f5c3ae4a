"""Whether a device is there, and what says so."""

import pytest

from gateway.model import Decoded, Reading
from gateway.presence import ONLINE, By, Presence, Sign, Standing

SECOND = 10**9
NOW = 1_800_000_000 * SECOND


def word(online: bool, at_ns: int) -> Decoded:
    return Decoded("p", "plug", [Reading("plug", ONLINE, online, None, at_ns)], [])


@pytest.mark.parametrize(
    ("sign", "standing"),
    [
        (Sign(True, NOW, NOW), (True, By.WORD)),
        (Sign(True, NOW - 9000 * SECOND, NOW - 9000 * SECOND), (True, By.WORD)),
        (Sign(False, NOW // 1000 * 1000, NOW + 999), (False, By.WORD)),  # the store keeps µs
        (Sign(False, NOW - 60 * SECOND, NOW), (False, By.WORD)),  # a bridge repeats its values
        (Sign(None, 0, NOW - 599 * SECOND), (True, By.AGE)),
        (Sign(None, 0, NOW - 601 * SECOND), (False, By.AGE)),
        (Sign(True, NOW - SECOND, NOW - SECOND, NOW - 2 * SECOND), (False, By.REVOKED)),
        (Sign(True, NOW, NOW, NOW - 60 * SECOND), (True, By.WORD)),  # it comes by another way
    ],
)
def test_own_word_wins_and_else_the_age_counts_when_a_device_stands_alone(
    sign: Sign, standing: tuple[bool, By]
) -> None:
    assert Presence().standing("plug", {"plug": sign}, NOW) == Standing(*standing)


def test_kept_offline_is_refuted_too_when_the_clock_was_moved_meanwhile() -> None:
    presence = Presence()
    presence.recall(word(False, NOW), NOW)
    presence.move(-9000 * SECOND)
    kept = Sign(False, NOW - 9000 * SECOND, NOW - 8999 * SECOND)
    assert presence.standing("plug", {"plug": kept}, NOW - 8900 * SECOND) == (True, By.AGE)
    assert presence.standing("plug", {"plug": kept._replace(heard_ns=0)}, NOW) == (False, By.WORD)


def test_kept_offline_counts_until_the_device_is_heard_when_nobody_knows_its_age() -> None:
    presence = Presence()
    presence.recall(word(False, NOW + 1), NOW + 1)
    kept = Sign(False, (NOW + 1) // 1000 * 1000, NOW - 5 * SECOND)
    assert presence.standing("plug", {"plug": kept}, NOW) == (False, By.WORD)
    heard = kept._replace(heard_ns=NOW + SECOND)
    assert presence.standing("plug", {"plug": heard}, NOW + SECOND) == (True, By.AGE)
    said_again = heard._replace(said_ns=NOW + 2 * SECOND)  # and this time as it happened
    assert presence.standing("plug", {"plug": said_again}, NOW + 3 * SECOND) == (False, By.WORD)


def test_device_is_away_when_it_or_its_parent_is() -> None:
    presence = Presence()
    presence.note(Decoded("p", "lamp", [], [], {"lamp": "hub", "hub": "site"}, 60.0))

    def standing(**signs: Sign) -> Standing:
        return presence.standing("lamp", signs, NOW)

    fresh = Sign(None, 0, NOW)
    assert standing(lamp=fresh) == (True, By.EXPIRY)
    assert standing(lamp=Sign(None, 0, NOW - 61 * SECOND)) == (False, By.EXPIRY)
    assert standing(lamp=Sign(True, NOW, NOW - 61 * SECOND)) == (False, By.EXPIRY)
    assert standing(lamp=fresh, hub=Sign(False, NOW, NOW)) == (False, By.PARENT)
    assert standing(lamp=fresh, site=Sign(False, NOW, NOW)) == (False, By.PARENT)
    quiet = Sign(None, 0, NOW - 9000 * SECOND)
    assert standing(lamp=fresh, hub=quiet) == (True, By.EXPIRY)  # it may have nothing to say
    assert standing() == (False, By.AGE)


def test_walk_ends_when_devices_are_each_others_parents() -> None:
    presence = Presence()
    presence.note(Decoded("p", "a", [], [], {"a": "b", "b": "a"}))
    assert presence.standing("a", {"a": Sign(None, 0, NOW)}, NOW) == (True, By.AGE)
