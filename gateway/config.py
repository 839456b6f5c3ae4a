"""The gateway's configuration: what an integrator can say, checked before anything starts.

Read from ``gateway.toml``, then ``gateway.d/*.toml`` beside it in the order of their names, then
the environment (``WEIR_MQTT__PORT=1884``); later ones win. Unknown keys are refused.
"""

import difflib
import os
import re
import socket
import tomllib
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from gateway.errors import ConfigError
from gateway.topics import token

SHIPPED = Path(__file__).resolve().parent.parent
"""Where the shipped ``plugins/`` and ``firmware_profiles/`` lie."""


def default_state_dir() -> Path:
    """Return ``$XDG_STATE_HOME/weir``, or ``~/.local/state/weir``."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "weir"


def _broker(value: str) -> str:
    if value != "embedded" and not re.fullmatch(r"mqtts?://[^/\s:@]+(:\d{1,5})?/?", value):
        raise ValueError('must be "embedded", "mqtt://host:1883" or "mqtts://host:8883"')
    return value


def _hub(value: str) -> str:
    if value and not re.fullmatch(r"(nats-leaf|nats|tls|wss?)://\S+", value):
        raise ValueError('must be "" or like "nats-leaf://host:7422", "tls://..." or "wss://..."')
    return value


def _name(value: str) -> str:
    if value != token(value):
        raise ValueError("may hold letters, digits, - and _ only")
    return value


class Section(BaseModel):
    """A table of the configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GatewaySection(Section):
    """``[gateway]``: who this box is."""

    name: Annotated[str, AfterValidator(_name)] = Field(
        default_factory=lambda: token(socket.gethostname()), max_length=32
    )
    state_dir: Path = Field(default_factory=default_state_dir)
    timezone: str = "UTC"  # of devices that tell local time without a zone
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class MqttSection(Section):
    """``[mqtt]``: the device broker."""

    broker: Annotated[str, AfterValidator(_broker)] = "embedded"
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

    port: int = Field(0, ge=0, le=65535)  # for this machine's processes; 0: a free one
    store_bytes: int = Field(512_000_000, ge=8_000_000)  # what may wait for the hub
    mqtt_store_bytes: int = Field(256_000_000, ge=8_000_000)  # sessions of the embedded broker
    in_order_backlog: int = Field(5000, ge=0)  # above: live outcomes overtake the backlog


class HubSection(Section):
    """``[hub]``: where outcomes go; without a url they are kept."""

    url: Annotated[str, AfterValidator(_hub)] = ""
    credentials_file: Path | None = None
    ca_file: Path | None = None


class StoreSection(Section):
    """``[store]``: the window of readings that the box keeps. The tightest bound wins."""

    max_age_h: float = Field(24.0, gt=0)
    max_rows: int = Field(50_000_000, ge=1000)
    max_bytes: int = Field(4_000_000_000, ge=10_000_000)


class PluginsSection(Section):
    """``[plugins]``: folders of plugins; a later one's plugin replaces an earlier one's."""

    dirs: tuple[Path, ...] = ()  # besides the shipped ones and <state_dir>/plugins
    shipped: bool = True
    disabled: tuple[str, ...] = ()


class ProfilesSection(Section):
    """``[profiles]``: folders of firmware profiles; a later one's replaces an earlier one's."""

    dirs: tuple[Path, ...] = ()  # besides the shipped ones and <state_dir>/profiles
    shipped: bool = True


class MetricsSection(Section):
    """``[metrics]``: Prometheus metrics, ``/healthz`` and ``/readyz``."""

    host: str = "127.0.0.1"
    port: int = Field(9108, ge=-1, le=65535)  # 0: a free one, -1: none


class AssetSection(Section):
    """``[[assets]]``: devices that sense the same machine, seen by plugins as one source."""

    name: Annotated[str, AfterValidator(_name)] = Field(max_length=48)
    asset_class: str = Field("", max_length=24)  # pump, compressor ...; default: the plugin's
    devices: tuple[str, ...] = Field(min_length=1)


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="WEIR_", env_nested_delimiter="__"
    )

    gateway: GatewaySection = Field(default_factory=GatewaySection)
    mqtt: MqttSection = Field(default_factory=MqttSection)
    leaf: LeafSection = Field(default_factory=LeafSection)
    hub: HubSection = Field(default_factory=HubSection)
    store: StoreSection = Field(default_factory=StoreSection)
    plugins: PluginsSection = Field(default_factory=PluginsSection)
    profiles: ProfilesSection = Field(default_factory=ProfilesSection)
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    assets: tuple[AssetSection, ...] = ()

    @property
    def plugin_dirs(self) -> list[Path]:
        """Return the folders of plugins, the shipped one first, the drop-in directory last."""
        shipped = [SHIPPED / "plugins"] if self.plugins.shipped else []
        return [*shipped, *self.plugins.dirs, self.gateway.state_dir / "plugins"]

    @property
    def profile_dirs(self) -> list[Path]:
        """Return the folders of profiles, the shipped one first, the drop-in directory last."""
        shipped = [SHIPPED / "firmware_profiles"] if self.profiles.shipped else []
        return [*shipped, *self.profiles.dirs, self.gateway.state_dir / "profiles"]

    @property
    def socket_path(self) -> Path:
        """Return the local socket over which a running gateway is asked."""
        return self.gateway.state_dir / "weir.sock"


def load_settings(path: Path | None, **overrides: dict[str, Any]) -> Settings:
    """Read the configuration.

    Args:
        path: ``gateway.toml``; None for the defaults and the environment alone.
        overrides: Tables that win over everything, such as ``mqtt={"port": 1884}``.

    Raises:
        ConfigError: With every problem found, not just the first.
    """
    merged: dict[str, Any] = {}
    where: dict[tuple[str, ...], str] = {}
    problems: list[str] = []
    for file in _files(path, problems):
        table = _read(file, problems)
        _merge(merged, table, str(file), where)
    environment = EnvSettingsSource(Settings)
    try:
        _merge(merged, environment(), "environment WEIR_...", where)
    except Exception as exc:  # noqa: BLE001 - pydantic-settings raises its own and ValueError
        problems.append(f"environment: {exc}")
    _merge(merged, overrides, "command line", where)
    try:
        settings = _FromTables(**merged)
    except ValidationError as exc:
        problems += [_explain(error, where) for error in exc.errors()]
        raise ConfigError(problems) from exc
    if problems:
        raise ConfigError(problems)
    return settings


class _FromTables(Settings):
    """Settings from the merged tables alone: the environment is merged in already."""

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:  # noqa: ANN401
        return (sources["init_settings"],)


def _files(path: Path | None, problems: list[str]) -> list[Path]:
    if path is None:
        return []
    if not path.is_file():
        problems.append(f"{path}: no such file; leave out -c for the defaults")
        return []
    return [path, *sorted(path.with_suffix(".d").glob("*.toml"))]


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as exc:
        problems.append(f"{file}: not readable as TOML: {exc}")
        return {}


def _merge(
    into: dict[str, Any],
    table: dict[str, Any],
    file: str,
    where: dict[tuple[str, ...], str],
    prefix: tuple[str, ...] = (),
) -> None:
    for key, value in table.items():
        at = (*prefix, key)
        where[at] = file
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, file, where, at)
        elif isinstance(value, dict):
            into[key] = {}
            _merge(into[key], value, file, where, at)
        else:
            into[key] = value


def _explain(error: Any, where: dict[tuple[str, ...], str]) -> str:  # noqa: ANN401
    location = tuple(str(part) for part in error["loc"])
    file = next(
        (where[location[:n]] for n in range(len(location), 0, -1) if location[:n] in where),
        "configuration",
    )
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{file}: {key}: unknown key{_nearest(location)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{file}: {key} = {error['input']!r}: {message}"


def _nearest(location: tuple[str, ...]) -> str:
    section = _section_at(location[:-1])
    known = list(section.model_fields) if section else []
    close = difflib.get_close_matches(location[-1], known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _section_at(location: tuple[str, ...]) -> type[BaseModel] | None:
    """Return the model that stands at a location: list indices and unions are looked through."""
    model: type[BaseModel] = Settings
    for part in location:
        if part.isdigit():
            continue
        if part not in model.model_fields:
            return None
        annotation = model.model_fields[part].annotation
        while isinstance(annotation, types.GenericAlias) or typing.get_origin(annotation):
            annotation = typing.get_args(annotation)[0]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        model = annotation
    return model
