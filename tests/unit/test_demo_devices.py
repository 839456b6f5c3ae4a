from gateway.config import AssetSection
from gateway.demo.devices import assets, names, plant_devices
from gateway.demo.plant import Plant

_START_NS = 1_700_000_000_000_000_000


def test_six_devices_speak_six_firmwares() -> None:
    assert len(names()) == 6
    assert len({name for name, _ in names()}) == 6
    assert len({firmware for _, firmware in names()}) == 6


def test_assets_are_accepted_by_the_configuration() -> None:
    (pump,) = (AssetSection(**table) for table in assets())
    assert (pump.name, pump.asset_class) == ("pump-1", "pump")
    assert len(pump.devices) == 4
    assert set(pump.devices) <= {name for name, _ in names()}


def test_topics_hold_no_space_and_name_their_device() -> None:
    for device in plant_devices():
        said = device.say(Plant(1), 1.0, _START_NS)
        messages = [*said, *(m for m in (device.birth, device.will) if m)]
        for message in messages:
            assert " " not in message.topic
            assert device.name in message.topic


def test_no_two_reports_are_alike_when_time_goes_on() -> None:
    plant = Plant(1)
    for device in plant_devices():
        if device.firmware == "ESPHome":
            continue  # it sends no time: equal values are equal messages
        times_s = [n * device.period_s for n in range(20)]
        said = {device.say(plant, t, _START_NS + round(t * 1e9))[0].payload for t in times_s}
        assert len(said) == 20, device.name


def test_will_is_retained_on_the_topic_of_the_birth() -> None:
    for device in plant_devices():
        assert (device.birth is None) == (device.will is None)
        if device.birth and device.will:
            assert device.birth.topic == device.will.topic
            assert device.birth.payload != device.will.payload
            assert device.birth.retain
            assert device.will.retain
