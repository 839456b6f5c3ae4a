"""The errors that all rooms share, and what each means for the message in hand.

GatewayError                  a stable ``code``, which is also the metric's label
|- ConfigError                file, field, value, what is allowed; exit code 78
|- LoadError                  ProfileError, PluginError, CameraError: the item is set aside, the
|                             rest goes on
|- MessageError               DecodeError, UnclaimedError, PacketTooLargeError: dead letter, then
|                             acknowledged, for trying again would not help
`- TransientError             StoreError, OutboxError, BrokerError, WorkerError, CameraAwayError:
                              not acknowledged, tried again after ``retry_after_s``
"""

from typing import ClassVar


class GatewayError(Exception):
    """Root of all errors that Weir raises on purpose."""

    code: ClassVar[str] = "gateway"


class ConfigError(GatewayError):
    """The configuration cannot be used; every problem is told at once.

    Attributes:
        problems: One line each: file, field, value, and what is allowed.
    """

    code = "config"
    exit_code: ClassVar[int] = 78  # EX_CONFIG of sysexits.h

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LoadError(GatewayError):
    """A profile, plugin or camera file cannot be used; it is set aside and the rest goes on.

    Attributes:
        file: The file that is wrong, as a path.
        field: The key in it, dotted, or "" for the file as a whole.
        reason: What is wrong and what is allowed.
    """

    code = "load"

    def __init__(self, file: str, field: str, reason: str) -> None:
        super().__init__(f"{file}: {field}: {reason}" if field else f"{file}: {reason}")
        self.file = file
        self.field = field
        self.reason = reason


class ProfileError(LoadError):
    """A firmware profile cannot be used."""

    code = "profile"


class PluginError(LoadError):
    """A plugin folder cannot be used."""

    code = "plugin"


class CameraError(LoadError):
    """A camera's file cannot be used."""

    code = "camera"


class MessageError(GatewayError):
    """This message can never be processed; it becomes a dead letter."""

    code = "message"


class DecodeError(MessageError):
    """A profile claims the topic and cannot decode the payload.

    Attributes:
        reason: A short stable slug (``bad_json``, ``too_deep`` ...), the ledger's label.
        profile: The profile that claimed the topic.
        request: What the device is to be asked: ``topic`` and ``payload`` (hexadecimal), or None.
    """

    code = "decode"
    request: dict[str, str] | None = None

    def __init__(self, reason: str, detail: str = "", profile: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.profile = profile


class UnclaimedError(MessageError):
    """No profile claims the topic."""

    code = "unclaimed"


class PacketTooLargeError(MessageError):
    """An outcome does not fit into 512 bytes, even trimmed by the stated rule."""

    code = "packet_too_large"


class TransientError(GatewayError):
    """Something outside is not there right now; nothing was acknowledged, try again.

    Attributes:
        retry_after_s: Seconds to wait before the next try.
    """

    code = "transient"

    def __init__(self, text: str, retry_after_s: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class StoreError(TransientError):
    """The feature store did not commit."""

    code = "store"


class OutboxError(TransientError):
    """The leaf did not take an outcome (away, or its queue is full)."""

    code = "outbox"


class BrokerError(TransientError):
    """The device broker is not there."""

    code = "broker"


class WorkerError(TransientError):
    """A plugin's process crashed, hung, or used too much memory."""

    code = "worker"


class LeafError(TransientError):
    """The nats-server did not start, or its streams are missing."""

    code = "leaf"


class CameraAwayError(TransientError):
    """A camera gives no picture right now; the text says why, without user and password."""

    code = "camera_away"
