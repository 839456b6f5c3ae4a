from gateway.ledger import Ledger


def test_every_message_is_in_one_place_when_some_have_ended() -> None:
    ledger = Ledger(received=25, stored_messages=7, duplicates=2, too_old=5, too_old_readings=9)
    ledger.bad_parts["influx"] += 3  # of messages that were stored
    ledger.dead_letters.update(bad_json=3, unclaimed=1)
    ledger.shed["sensors/a"] += 4
    ledger.quarantined["b"] += 2
    assert ledger.ended() == 24
    assert ledger.in_hand() == 1


def test_nothing_is_in_hand_when_nothing_came() -> None:
    assert Ledger().in_hand() == 0
