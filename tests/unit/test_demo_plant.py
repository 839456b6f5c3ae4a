import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.demo.plant import COUNTS_PER_G, WAVEFORM_RATE_HZ, WAVEFORM_SAMPLES, Plant, PlantState

_LEARNING_S = np.arange(0, 10, 0.1)
_WORN_S = np.arange(22, 32, 0.1)


def _column(plant: Plant, name: str, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([getattr(plant.at(float(t)), name) for t in times_s])


def test_values_are_the_same_when_the_seed_is() -> None:
    assert Plant(3).at(17.25) == Plant(3).at(17.25)
    assert np.array_equal(Plant(3).waveform(17.25), Plant(3).waveform(17.25))


def test_values_differ_when_seed_or_time_differs() -> None:
    assert Plant(3).at(17.25) != Plant(4).at(17.25)
    assert Plant(3).at(17.25) != Plant(3).at(17.26)
    assert not np.array_equal(Plant(3).waveform(1.0), Plant(4).waveform(1.0))


def test_values_do_not_depend_on_what_was_asked_before() -> None:
    asked, fresh = Plant(3), Plant(3)
    for t_s in (40.0, 0.0, 3.0):
        asked.at(t_s)
        asked.waveform(t_s)
    assert asked.at(5.0) == fresh.at(5.0)


def test_state_holds_plain_floats() -> None:
    state = Plant(1).at(30.0)
    assert {type(getattr(state, name)) for name in PlantState.__slots__} == {float}


def test_wear_is_none_before_its_onset_and_grows_after() -> None:
    plant = Plant(1, wear_onset_s=12.0)
    assert plant.wear(0.0) == plant.wear(12.0) == 0.0
    wear = [plant.wear(t) for t in (12.5, 15.0, 20.0, 40.0, 400.0)]
    assert wear == sorted(wear)
    assert 0.0 < wear[0] < wear[-1] <= 1.0


@pytest.mark.parametrize("seed", range(4))
def test_sound_pump_shows_all_it_does_within_ten_seconds(seed: int) -> None:
    sound = Plant(seed, wear_onset_s=1e9)
    for name in ("motor_w", "flow_l_min", "pressure_bar", "bearing_c", "vibration_mm_s"):
        learned = _column(sound, name, _LEARNING_S)
        later = _column(sound, name, np.arange(10, 60, 0.2))
        margin = 0.25 * (learned.max() - learned.min())
        assert later.min() > learned.min() - margin, name
        assert later.max() < learned.max() + margin, name


def test_wear_is_seen_by_several_sensors_when_it_has_grown() -> None:
    for seed in range(5):
        plant = Plant(seed)
        for name in ("bearing_c", "vibration_mm_s"):
            learned, worn = (_column(plant, name, t) for t in (_LEARNING_S, _WORN_S))
            assert worn.min() > learned.max(), (seed, name)
        learned, worn = (_column(plant, "motor_w", t) for t in (_LEARNING_S, _WORN_S))
        assert worn.mean() > learned.mean() + 0.5 * learned.std()


def test_sensors_move_together_when_the_load_does() -> None:
    states = [Plant(2).at(float(t)) for t in _LEARNING_S]
    watts, amps, volts, flow, pressure = (
        np.array([getattr(s, name) for s in states])
        for name in ("motor_w", "motor_a", "motor_v", "flow_l_min", "pressure_bar")
    )
    assert np.corrcoef(watts, flow)[0, 1] > 0.9
    assert np.corrcoef(flow, pressure)[0, 1] < -0.9
    assert np.allclose(watts / (amps * volts), 0.86)


def test_energy_never_falls() -> None:
    energy = _column(Plant(1), "energy_kwh", np.arange(0, 100, 0.5))
    assert (np.diff(energy) > 0).all()


def test_waveform_is_three_axes_of_counts_with_gravity_on_z() -> None:
    samples = Plant(1).waveform(3.0)
    assert samples.shape == (WAVEFORM_SAMPLES, 3)
    assert samples.dtype == np.int16
    assert np.allclose(samples.mean(axis=0) / COUNTS_PER_G, (0, 0, 1), atol=0.05)


def test_waveform_rings_and_does_not_clip_when_the_bearing_is_worn() -> None:
    plant = Plant(1)
    sound, worn = plant.waveform(3.0) / COUNTS_PER_G, plant.waveform(50.0) / COUNTS_PER_G
    assert (worn.std(axis=0) > 2 * sound.std(axis=0)).all()
    assert np.abs(worn).max() < 32767 / COUNTS_PER_G
    power = np.abs(np.fft.rfft(worn[:, 1])) ** 2
    hz = np.fft.rfftfreq(WAVEFORM_SAMPLES, 1 / WAVEFORM_RATE_HZ)
    band = power[(hz > 400) & (hz < 650)].sum()
    assert band > 0.5 * power[hz > 20].sum()
