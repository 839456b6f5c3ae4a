"""Which quantity a unit speaks of, whatever way a firmware writes the unit.

Spellings are brought together by Unicode NFKC, which turns ``m³`` into ``m3`` and ``℃`` into
``°C``. Then a unit is looked up as it is written, then as a decimal prefix before a base unit, then
in lower case. Units that mean the same with another factor (``°F``, ``K``) have one quantity and
one SI unit.

``g`` is standard gravity, as vibration sensors print it; a mass is ``kg`` or ``t``.
"""

import unicodedata
from typing import NamedTuple


class Quantity(NamedTuple):
    """A physical quantity and the SI unit that stands for it."""

    name: str
    unit: str


_SI = {
    "acceleration": "m/s2",
    "angle": "rad",
    "apparent energy": "VA.s",
    "apparent power": "VA",
    "charge": "C",
    "conductivity": "S/m",
    "data": "B",
    "electric current": "A",
    "energy": "J",
    "force": "N",
    "frequency": "Hz",
    "illuminance": "lx",
    "irradiance": "W/m2",
    "length": "m",
    "magnetic flux density": "T",
    "mass": "kg",
    "mass concentration": "kg/m3",
    "mass flow": "kg/s",
    "mole fraction": "mol/mol",
    "ph": "1",
    "power": "W",
    "pressure": "Pa",
    "ratio": "1",
    "reactive energy": "var.s",
    "reactive power": "var",
    "resistance": "Ohm",
    "rotational speed": "1/s",
    "signal level": "dBm",
    "sound level": "dB",
    "speed": "m/s",
    "temperature": "K",
    "time": "s",
    "torque": "N.m",
    "voltage": "V",
    "volume": "m3",
    "volume flow": "m3/s",
}

_PREFIXES = ("n", "u", "\N{GREEK SMALL LETTER MU}", "m", "c", "d", "h", "k", "M", "G")

_PREFIXABLE = {
    "A": "electric current",
    "Ah": "charge",
    "B": "data",
    "Hz": "frequency",
    "J": "energy",
    "L": "volume",
    "L/h": "volume flow",
    "L/min": "volume flow",
    "L/s": "volume flow",
    "N": "force",
    "Nm": "torque",
    "Ohm": "resistance",
    "Pa": "pressure",
    "S/cm": "conductivity",
    "S/m": "conductivity",
    "T": "magnetic flux density",
    "V": "voltage",
    "VA": "apparent power",
    "VAh": "apparent energy",
    "W": "power",
    "Wh": "energy",
    "bar": "pressure",
    "g": "acceleration",
    "g/m3": "mass concentration",
    "l": "volume",
    "l/h": "volume flow",
    "l/min": "volume flow",
    "l/s": "volume flow",
    "lx": "illuminance",
    "m": "length",
    "m/s": "speed",
    "m/s2": "acceleration",
    "s": "time",
    "var": "reactive power",
    "varh": "reactive energy",
    "\N{GREEK CAPITAL LETTER OMEGA}": "resistance",
}

_EXACT = {
    "%": "ratio",
    "%RH": "ratio",
    "\N{PER MILLE SIGN}": "ratio",
    "1/min": "rotational speed",
    "C": "temperature",
    "F": "temperature",
    "K": "temperature",
    "d": "time",
    "dB": "sound level",
    "deg": "angle",
    "h": "time",
    "kg": "mass",
    "kg/h": "mass flow",
    "kg/s": "mass flow",
    "km/h": "speed",
    "m3": "volume",
    "m3/h": "volume flow",
    "m3/s": "volume flow",
    "min": "time",
    "pH": "ph",
    "t": "mass",
    "\N{DEGREE SIGN}": "angle",
    "\N{DEGREE SIGN}C": "temperature",
    "\N{DEGREE SIGN}F": "temperature",
}

# In lower case: spelled-out names, and symbols that firmwares capitalise as they like.
_FOLDED = {
    "amp": "electric current",
    "ampere": "electric current",
    "amps": "electric current",
    "atm": "pressure",
    "btu": "energy",
    "cel": "temperature",
    "celsius": "temperature",
    "cfm": "volume flow",
    "db": "sound level",
    "db(a)": "sound level",
    "dba": "sound level",
    "dbm": "signal level",
    "degc": "temperature",
    "degf": "temperature",
    "degree": "angle",
    "degrees": "angle",
    "fahrenheit": "temperature",
    "ft": "length",
    "gal": "volume",
    "gpm": "volume flow",
    "hertz": "frequency",
    "hp": "power",
    "in": "length",
    "in/s": "speed",
    "inhg": "pressure",
    "kelvin": "temperature",
    "kn": "speed",
    "kwh": "energy",
    "lb": "mass",
    "lux": "illuminance",
    "min-1": "rotational speed",
    "mmhg": "pressure",
    "mph": "speed",
    "ohm": "resistance",
    "ohms": "resistance",
    "percent": "ratio",
    "ppb": "mole fraction",
    "ppm": "mole fraction",
    "psi": "pressure",
    "rad": "angle",
    "rpm": "rotational speed",
    "vah": "apparent energy",
    "var": "reactive power",
    "varh": "reactive energy",
    "volt": "voltage",
    "volts": "voltage",
    "w/m2": "irradiance",
    "watt": "power",
    "watts": "power",
    "wmin": "energy",
}


def quantity_of(unit: str) -> Quantity | None:
    """Return the quantity that a unit speaks of.

    Args:
        unit: As a firmware writes it (``°F``, ``kW``, ``ug/m3``).

    Returns:
        None for a value without a unit, which does not say what was observed. An unknown unit is a
        quantity of its own, named ``other`` with the unit as it is written.
    """
    symbol = unicodedata.normalize("NFKC", unit).strip().replace("^", "").replace(" ", "")
    if symbol in {"", "1"}:
        return None
    name = _EXACT.get(symbol) or _prefixed(symbol) or _FOLDED.get(symbol.lower())
    return Quantity(name, _SI[name]) if name else Quantity("other", symbol)


def _prefixed(symbol: str) -> str | None:
    if symbol in _PREFIXABLE:
        return _PREFIXABLE[symbol]
    return _PREFIXABLE.get(symbol[1:]) if symbol.startswith(_PREFIXES) else None
