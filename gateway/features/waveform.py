"""What a waveform says in a few numbers, so that plugins on readings see it too."""

import numpy as np

from gateway.model import Reading, Waveform


def describe(wave: Waveform) -> list[Reading]:
    """Return RMS, peak and kurtosis of a waveform about its mean, as readings at its time.

    Kurtosis is the fourth standardised moment: 3 for Gaussian noise, higher when a damaged
    bearing strikes (R. Randall, J. Antoni, "Rolling element bearing diagnostics - a tutorial",
    2011, section 3). A constant waveform has none, and that reading is left out.
    """
    if not len(wave.samples):
        return []
    x = wave.samples.astype(np.float64)
    x -= x.mean()
    power = float(np.mean(x * x))
    numbers = [("rms", power**0.5, wave.unit), ("peak", float(np.abs(x).max()), wave.unit)]
    if power > 0:
        numbers.append(("kurtosis", float(np.mean(x**4)) / power**2, None))
    return [
        Reading(wave.device, f"{wave.metric}.{name}", value, unit, wave.time_ns, True)
        for name, value, unit in numbers
        if np.isfinite(value)
    ]
