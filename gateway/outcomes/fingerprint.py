"""The address of a problem: the same for every gateway that has the same problem.

It is a hash of what the problem is, not of who observed it::

    domain, asset class, kind, operating regime, set of (quantity, SI unit)

A pump watched through a Tasmota plug in °F (``ENERGY.Power`` W, ``DS18B20.Temperature`` °F) and one
watched through a Shelly in °C (``apower`` kW, ``temperature.tC`` °C) are both::

    ["machine","pump","anomaly","any",[["power","W"],["temperature","K"]]]

and have one address. Names of gateways, sources and metrics are not in it, nor how many sensors
there are. A value without a unit does not say what was observed and is left out; an unknown unit
stands for itself.
"""

import base64
import hashlib
import unicodedata
from functools import lru_cache

import orjson

from gateway.model import OutcomeContext
from gateway.outcomes.units import quantity_of


@lru_cache(maxsize=4096)  # a gateway has a few contexts and asks for each with every outcome
def fingerprint(context: OutcomeContext, quantities: tuple[tuple[str, str], ...]) -> str:
    """Return 16 characters ``a-z2-7``: 80 bits of the BLAKE2b of the canonical context.

    Args:
        context: Domain, asset class, kind and regime, as the manifest says them.
        quantities: (metric, unit) of what was observed; the metrics' names do not matter.
    """
    digest = hashlib.blake2b(
        canonical(context, quantities), digest_size=10, person=b"weir context 1"
    )
    return base64.b32encode(digest.digest()).decode().lower()


def canonical(context: OutcomeContext, quantities: tuple[tuple[str, str], ...]) -> bytes:
    """Return the canonical problem context as compact JSON, the text that is hashed."""
    observed = {quantity_of(unit) for _, unit in quantities} - {None}
    words = (context.domain, context.asset, context.kind, context.regime)
    return orjson.dumps([*(_word(word) for word in words), sorted(tuple(q) for q in observed if q)])


def _word(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.encode("utf-8", "replace").decode().split())
