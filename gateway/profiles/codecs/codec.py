"""What every codec is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from gateway.model import RawMessage

Codec = Callable[[RawMessage], Any]
"""Gives the payload as Python data, or raises DecodeError.

It sees the whole message, for a codec with a memory (births before data) needs the topic too.
"""

MAX_PAYLOAD_BYTES = 1_000_000


class Options(BaseModel, ABC):
    """A codec's options, as a profile says them.

    Attributes:
        parts: What a payload is made of, where the codec leaves out parts that are malformed. It
            then gives ``{<parts>: array of the good ones, "bad": number of the others}``, and
            may say ``"why"`` one of them is bad.
    """

    parts: ClassVar[str] = ""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def build(self) -> Codec:
        """Return the codec that these options describe."""
