"""How many devices and series there may be."""

from gateway.features.columns import Item, to_columns
from gateway.features.series import Capacity, Device, Register
from gateway.model import Decoded, RawMessage, Reading


def item(device: str, *metrics: str, of: str = "") -> Item:
    readings = [Reading(of or device, metric, 1.0, None, 1000) for metric in metrics]
    return RawMessage(f"t/{device}", b"", 1000), Decoded("p", device, readings, [])


def test_further_devices_are_refused_and_known_ones_go_on() -> None:
    register = Register({}, Capacity(devices=2))
    items = [item("a", "x"), item("b", "x"), item("c", "x"), item("a", "x", "y"), item("d")]
    batch = to_columns(items, register)
    assert batch.message.tolist() == [0, 1, 3, 3]
    assert {i: tuple(each) for i, each in batch.refused.items()} == {
        2: ("too_many_devices", 1, True),
        4: ("too_many_devices", 0, True),
    }
    for raw, decoded in items:
        register.see(decoded, raw)
    assert sorted(register.devices) == ["a", "b"]


def test_further_series_of_one_device_are_left_out() -> None:
    register = Register({}, Capacity(series_each=2))
    batch = to_columns([item("a", "x", "y", "z"), item("a", "z"), item("b", "z")], register)
    assert [register.series[number].metric for number in batch.series] == ["x", "y", "z"]
    assert {i: tuple(each) for i, each in batch.refused.items()} == {
        0: ("too_many_series", 1, False),
        1: ("too_many_series", 1, True),
    }


def test_further_series_of_all_are_left_out() -> None:
    register = Register({}, Capacity(series=2))
    batch = to_columns([item("a", "x"), item("b", "x"), item("c", "x"), item("a", "y")], register)
    assert [(i, each.reason) for i, each in batch.refused.items()] == [
        (2, "too_many_series"),
        (3, "too_many_series"),
    ]


def test_a_bridge_is_heard_when_only_some_of_whom_it_speaks_have_room() -> None:
    register = Register({}, Capacity(devices=2))
    to_columns([item("bridge", "x"), item("bridge", "t", of="child")], register)
    both = Decoded("p", "bridge", [Reading(d, "t", 1.0, None, 1) for d in ("child", "further")], [])
    batch = to_columns([(RawMessage("t", b"", 1), both)], register)
    assert tuple(batch.refused[0]) == ("too_many_series", 1, False)
    assert len(batch.series) == 1


def test_what_the_store_has_already_has_room() -> None:
    register = Register({}, Capacity(devices=1))
    for name in ("a", "b"):
        register.know(Device(name, "p", name, 1, 1))
        register.restore(name, "x", None, "p")
    assert not to_columns([item("a", "x"), item("b", "x")], register).refused
    assert to_columns([item("c", "x")], register).refused


def test_room_is_there_again_when_a_batch_was_not_stored() -> None:
    register = Register({}, Capacity(devices=1))
    assert not to_columns([item("a", "x", "y")], register).refused
    register.forget_new(0)
    assert not to_columns([item("b", "x")], register).refused
