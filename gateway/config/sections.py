"""What an integrator can say: the tables and keys of ``gateway.toml``, with their defaults.

Every key stands in ``packaging/gateway.toml`` too, with a comment; a test holds the two together.
"""

import os
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.config.values import (
    broker_url,
    hub_url,
    known_timezone,
    one_token,
    without_login,
)
from gateway.topics import token


def default_state_dir() -> Path:
    """Return ``$XDG_STATE_HOME/weir``, or ``~/.local/state/weir``."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "weir"


class Section(BaseModel):
    """A table of the configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GatewaySection(Section):
    """``[gateway]``: who this box is."""

    name: Annotated[str, AfterValidator(one_token)] = Field(
        default_factory=lambda: token(socket.gethostname())[:32], max_length=32
    )
    state_dir: Path = Field(default_factory=default_state_dir)
    timezone: Annotated[str, AfterValidator(known_timezone)] = "UTC"  # where devices do not say one
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class ClockSection(Section):
    """``[clock]``: when the system's clock is believed."""

    synced_file: Path | None = None  # there while somebody keeps it; default: the kernel is asked
    follow_after_s: float = Field(30.0, ge=1, le=3600)  # a step that nobody vouches for


class MqttSection(Section):
    """``[mqtt]``: the device broker."""

    broker: Annotated[str, AfterValidator(broker_url)] = "embedded"
    host: str = "127.0.0.1"  # where the embedded broker listens
    port: int = Field(1883, ge=0, le=65535)  # of the embedded broker; 0: a free one
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    client_id: str = ""  # default: weir-<gateway name>
    topics: tuple[str, ...] = ()  # default: what the profiles ask for
    receive_maximum: int = Field(1000, ge=1, le=65535)  # QoS >= 1 messages not yet acknowledged
    queue_messages: int = Field(50_000, ge=100)  # above this the oldest at QoS 0 are shed
    queue_bytes: int = Field(64_000_000, ge=1_000_000)
    tick_ms: float = Field(2.0, ge=0, le=1000)  # shortest time between two micro-batches


class LeafSection(Section):
    """``[leaf]``: the nats-server that keeps outcomes until the hub has them."""

    run: Literal["here", "unit"] = "here"  # unit: `weir leaf run` runs it, the gateway uses it
    port: int = Field(0, ge=0, le=65535)  # for this machine's processes; 0: a free one
    store_bytes: int = Field(1_000_000_000, ge=8_000_000)  # what may wait: a week at 3 a second
    mqtt_store_bytes: int = Field(256_000_000, ge=8_000_000)  # sessions of the embedded broker
    ballast_bytes: int = Field(16_000_000, ge=0)  # given up for outcomes when the disk is full
    in_order_backlog: int = Field(5000, ge=0)  # above: live outcomes overtake the backlog


class HubSection(Section):
    """``[hub]``: where outcomes go; without a url they are kept."""

    url: Annotated[str, AfterValidator(hub_url)] = ""
    credentials_file: Path | None = None
    login_file: Path | None = None  # user:password or a token, as a url has them
    ca_file: Path | None = None
    drain_per_s: int = Field(0, ge=0)  # of a backlog, live outcomes besides; 0: as fast as it goes
    drain_order: Literal["oldest", "alarms-first"] = "oldest"

    @property
    def shown_url(self) -> str:
        """Return the url for people to see: without user and password."""
        return without_login(self.url)


class StoreSection(Section):
    """``[store]``: the window of readings that the box keeps. The tightest bound wins."""

    max_age_h: float = Field(24.0, gt=0)
    max_rows: int = Field(50_000_000, ge=1000)
    max_bytes: int = Field(4_000_000_000, ge=10_000_000)
    reserve_bytes: int = Field(200_000_000, ge=1_000_000)  # free space below which readings yield


class DevicesSection(Section):
    """``[devices]``: when one is too loud or silent, and how many there may be."""

    quarantine: bool = True  # of those that stay too loud; false: they are limited, no more
    limit_hz: float = Field(200.0, gt=0)  # nobody below is too loud, in messages per second
    limit_factor: float = Field(100.0, ge=2)  # nor below so many times its usual rate
    limit_after_s: float = Field(5.0, gt=0)  # too loud for so long: limited
    garbage_hz: float = Field(50.0, gt=0)  # above, with nothing that can be read: limited too
    quarantine_after_s: float = Field(30.0, gt=0)  # and for so long: quarantined
    release_after_s: float = Field(600.0, gt=0)  # of good conduct; limited ones after a tenth
    learn_s: float = Field(3600.0, gt=0)  # a device's silence means nothing before
    silent_factor: float = Field(10.0, ge=2)  # silent for so many times its usual interval
    silent_least_s: float = Field(120.0, gt=0)  # and at least so long
    most: int = Field(10_000, ge=1)  # messages of further devices are dead letters
    most_series: int = Field(200_000, ge=1)  # of further metrics: left out, or dead letters
    most_series_each: int = Field(5000, ge=1)  # of one device


class PluginsSection(Section):
    """``[plugins]``: folders of plugins; a later one's plugin replaces an earlier one's."""

    dirs: tuple[Path, ...] = ()  # besides the shipped ones and <state_dir>/plugins
    shipped: bool = True
    disabled: tuple[str, ...] = ()


class ProfilesSection(Section):
    """``[profiles]``: folders of firmware profiles; a later one's replaces an earlier one's."""

    dirs: tuple[Path, ...] = ()  # besides the shipped ones and <state_dir>/profiles
    shipped: bool = True


class CamerasSection(Section):
    """``[cameras]``: folders of cameras, a file for each; a later one replaces an earlier one."""

    dirs: tuple[Path, ...] = ()  # besides <state_dir>/cameras


class SnapshotsSection(Section):
    """``[snapshots]``: pictures of what plugins saw; they stay on the box."""

    keep: int = Field(100, ge=0, le=100_000)  # the newest; 0: no picture is ever written
    each_outcome: bool = False  # not only when somebody asks for one


class MetricsSection(Section):
    """``[metrics]``: Prometheus metrics, ``/healthz`` and ``/readyz``."""

    host: str = "127.0.0.1"
    port: int = Field(9108, ge=-1, le=65535)  # 0: a free one, -1: none


class AssetSection(Section):
    """``[[assets]]``: devices that sense the same machine, seen by plugins as one source."""

    name: Annotated[str, AfterValidator(one_token)] = Field(max_length=48)
    asset_class: str = Field("", max_length=24)  # pump, compressor ...; default: the plugin's
    devices: tuple[str, ...] = Field(min_length=1)
