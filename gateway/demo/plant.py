"""A small water plant whose pump's bearing wears out, as a pure function of seed and time.

Nothing is stepped: every value is computed from the seed and the moment asked for, so that devices
may look at the plant at any rate and in any order and see the same world. It runs fast: one second
stands for hours of a real plant, so that a demo of a minute shows a bearing's last weeks.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

WAVEFORM_RATE_HZ = 1600
WAVEFORM_SAMPLES = 200
"""Samples of one waveform on each axis: the sensor's header has one byte for the count."""
COUNTS_PER_G = 16384
"""An int16 sample spans +-2 g."""

_LOAD_CYCLE_S = 4.0
_SHAFT_HZ = 24.6  # a four-pole motor at 1476 rpm
_HUM_HZ = 100.0  # twice the mains
_OUTER_RACE_HZ = 88.1  # a ball passes the damaged spot: 3.58 times a turn
_RING_HZ = 520.0  # the housing's own frequency, struck by each pass
_RING_DECAY_S = 0.003
_MEAN_W = 805.0
_POWER_FACTOR = 0.86


class _Drift(IntEnum):
    """What wanders slowly, each seen by more than one sensor."""

    LOAD = 0
    MAINS = 1
    WATER = 2
    HEAT = 3
    ROOM = 4


@dataclass(frozen=True, slots=True)
class PlantState:
    """What there is to measure at one moment.

    Attributes:
        motor_w, motor_v, motor_a: The pump motor's real power, voltage and current.
        energy_kwh: What the motor has used so far, never falling.
        flow_l_min: Flow behind the pump.
        pressure_bar: Pressure behind the pump.
        bearing_c: Temperature of the bearing's housing.
        vibration_mm_s: Velocity of the housing, RMS (ISO 20816 takes 4.5 and more as bad here).
        fan_w: Power of the motor's cooling fan.
        tank_percent, inflow_l_min, water_c: The tank's level, inflow and temperature.
        room_c, room_humidity_percent: The pump house.
        wear: 0 for a sound bearing, towards 1 for a ruined one.
    """

    motor_w: float
    motor_v: float
    motor_a: float
    energy_kwh: float
    flow_l_min: float
    pressure_bar: float
    bearing_c: float
    vibration_mm_s: float
    fan_w: float
    tank_percent: float
    inflow_l_min: float
    water_c: float
    room_c: float
    room_humidity_percent: float
    wear: float


class Plant:
    """The plant.

    Args:
        seed: Two plants of one seed are the same.
        wear_onset_s: When the bearing begins to wear, in seconds from the start.
        wear_growth_s: Time in which 63 % of the sound rest is gone.
    """

    def __init__(
        self, seed: int, *, wear_onset_s: float = 12.0, wear_growth_s: float = 12.0
    ) -> None:
        self._seed = seed
        self._onset_s = wear_onset_s
        self._growth_s = wear_growth_s
        rng = np.random.default_rng(seed)
        shape = (len(_Drift), 3)
        # No slower than the load cycle: ten seconds must show all that a sound pump does.
        self._drift_rad_s = 2 * np.pi * rng.uniform(0.4, 1.4, shape)
        self._drift_phase = rng.uniform(0, 2 * np.pi, shape)

    def wear(self, t_s: float) -> float:
        """Return how worn the bearing is at ``t_s`` seconds from the start, 0 to 1."""
        return 1.0 - float(np.exp(-max(0.0, t_s - self._onset_s) / self._growth_s))

    def at(self, t_s: float) -> PlantState:
        """Return the plant at ``t_s`` seconds from the start."""
        drift = np.sin(self._drift_rad_s * t_s + self._drift_phase).mean(axis=1).tolist()
        noise = self._rng(t_s, 0).standard_normal(10).tolist()
        wear = self.wear(t_s)
        load = _load(t_s) + 0.02 * drift[_Drift.LOAD]
        volts = 230.5 + 0.8 * drift[_Drift.MAINS] + 0.1 * noise[0]
        watts = (310 + 690 * load**1.5) * (1 + 0.16 * wear) + 6 * noise[1]
        flow = 118 * load * (1 - 0.07 * wear) + 0.8 * drift[_Drift.WATER] + 0.3 * noise[2]
        pressure = 4.4 - 1.7 * load**2 - 0.2 * wear - 0.03 * drift[_Drift.WATER]
        bearing = 47 + 8 * (_load(t_s - 0.6) - 0.78) + 0.15 * drift[_Drift.HEAT] + 24 * wear
        vibration = 1.3 + 0.6 * load + 6.5 * wear + (0.03 + 0.2 * wear) * noise[3]
        return PlantState(
            motor_w=watts,
            motor_v=volts,
            motor_a=watts / (volts * _POWER_FACTOR),
            energy_kwh=118.42 + _MEAN_W * t_s / 3.6e6,
            flow_l_min=flow,
            pressure_bar=pressure + 0.01 * noise[4],
            bearing_c=bearing + 0.06 * noise[5],
            vibration_mm_s=max(0.1, vibration),
            fan_w=18 + 0.05 * (bearing - 47) + 0.8 * drift[_Drift.MAINS] + 0.1 * noise[6],
            tank_percent=61 - 4 * np.cos(2 * np.pi * t_s / 20).item() + 0.05 * noise[7],
            inflow_l_min=92 + 1.5 * drift[_Drift.WATER] + 0.4 * noise[8],
            water_c=11.8 + 0.1 * drift[_Drift.ROOM],
            room_c=19.5 + 0.4 * drift[_Drift.ROOM] + 0.02 * noise[9],
            room_humidity_percent=58 - 1.5 * drift[_Drift.ROOM],
            wear=wear,
        )

    def waveform(self, t_s: float) -> NDArray[np.int16]:
        """Return the vibration of the housing from ``t_s`` on: int16 [WAVEFORM_SAMPLES, 3].

        Columns are x, y, z in counts of `COUNTS_PER_G`; z carries the earth's pull. A worn bearing
        rings: each ball that passes the damaged spot strikes the housing.
        """
        t = t_s + np.arange(WAVEFORM_SAMPLES) / WAVEFORM_RATE_HZ
        turn = 2 * np.pi * _SHAFT_HZ * t
        unbalance = np.column_stack((np.cos(turn), np.sin(turn), 0.3 * np.sin(2 * turn)))
        hum = np.outer(np.sin(2 * np.pi * _HUM_HZ * t), (0.010, 0.014, 0.006))
        since_pass = np.mod(t, 1 / _OUTER_RACE_HZ)
        ring = np.exp(-since_pass / _RING_DECAY_S) * np.sin(2 * np.pi * _RING_HZ * since_pass)
        wear = self.wear(t_s)
        noise = self._rng(t_s, 1).standard_normal((WAVEFORM_SAMPLES, 3)) * (0.008 + 0.03 * wear)
        g = 0.05 * unbalance + hum + np.outer(ring, (0.5, 0.7, 0.4)) * wear + noise
        g[:, 2] += 1.0
        limits = np.iinfo(np.int16)
        return np.clip(np.round(g * COUNTS_PER_G), limits.min, limits.max).astype(np.int16)

    def _rng(self, t_s: float, stream: int) -> np.random.Generator:
        """Return the noise of one moment, the same whenever it is asked for."""
        tick = round(max(0.0, t_s) * 1000)
        return np.random.Generator(
            np.random.Philox(key=[self._seed, stream], counter=[0, tick, 0, 0])
        )


def _load(t_s: float) -> float:
    """Return the demand on the pump, as a part of its full flow: it comes and goes."""
    return 0.78 + 0.14 * float(np.sin(2 * np.pi * t_s / _LOAD_CYCLE_S))
