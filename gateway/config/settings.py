"""The whole configuration, and where it is read from.

``gateway.toml``, then ``gateway.d/*.toml`` beside it in the order of their names, then the
environment (``WEIR_MQTT__PORT=1884``); later ones win. Unknown keys are refused.
"""

import os
import sysconfig
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from gateway.config.paths import absent
from gateway.config.problems import did_you_mean, explain
from gateway.config.sections import (
    AssetSection,
    CamerasSection,
    ClockSection,
    DevicesSection,
    GatewaySection,
    HubSection,
    LeafSection,
    MetricsSection,
    MqttSection,
    PluginsSection,
    ProfilesSection,
    SnapshotsSection,
    StoreSection,
)
from gateway.errors import ConfigError


def _shipped() -> Path:
    """Return the tree that this module lies in, or else the environment's folder of data."""
    tree = Path(__file__).resolve().parents[2]
    is_tree = (tree / "firmware_profiles").is_dir()
    return tree if is_tree else Path(sysconfig.get_path("data")) / "share" / "weir"


SHIPPED = _shipped()
"""Where the shipped ``plugins/`` and ``firmware_profiles/`` lie."""

CONFIG_VARIABLE = "WEIR_CONFIG"
"""Environment variable that names ``gateway.toml``; it is no key."""

_PREFIX = "WEIR_"


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=_PREFIX, env_nested_delimiter="__"
    )

    gateway: GatewaySection = Field(default_factory=GatewaySection)
    clock: ClockSection = Field(default_factory=ClockSection)
    mqtt: MqttSection = Field(default_factory=MqttSection)
    leaf: LeafSection = Field(default_factory=LeafSection)
    hub: HubSection = Field(default_factory=HubSection)
    store: StoreSection = Field(default_factory=StoreSection)
    devices: DevicesSection = Field(default_factory=DevicesSection)
    plugins: PluginsSection = Field(default_factory=PluginsSection)
    profiles: ProfilesSection = Field(default_factory=ProfilesSection)
    cameras: CamerasSection = Field(default_factory=CamerasSection)
    snapshots: SnapshotsSection = Field(default_factory=SnapshotsSection)
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    assets: tuple[AssetSection, ...] = ()

    @field_validator("assets")
    @classmethod
    def _each_once(cls, assets: tuple[AssetSection, ...]) -> tuple[AssetSection, ...]:
        """Refuse a device in two assets, or twice in one: its readings have one source."""
        named = Counter(asset.name for asset in assets)
        devices = Counter(device for asset in assets for device in asset.devices)
        twice = [f"asset {name!r} is there twice" for name, count in named.items() if count > 1]
        for device, count in devices.items():
            if count > 1:
                holders = sorted({a.name for a in assets if device in a.devices})
                twice.append(f"device {device!r} is listed {count} times ({', '.join(holders)})")
        if twice:
            raise ValueError(f"{'; '.join(twice)}; a device belongs to one asset, once")
        return assets

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
    def camera_dirs(self) -> list[Path]:
        """Return the folders of cameras, the drop-in directory last."""
        return [*self.cameras.dirs, self.gateway.state_dir / "cameras"]

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
    return _load(path, overrides, existing=False)


def load_usable_settings(path: Path | None, **overrides: dict[str, Any]) -> Settings:
    """Read the configuration as `load_settings` does, for a gateway that is to run with it.

    Raises:
        ConfigError: Also for files and folders that are named and not there.
    """
    return _load(path, overrides, existing=True)


def load_right_parts(path: Path | None, **overrides: dict[str, Any]) -> tuple[Settings, bool]:
    """Read what is right of a configuration, for who looks what is wrong with a box.

    Keys that are wrong are left out, and files that cannot be read.

    Returns:
        The settings, and whether their state directory is the one that is meant: it is not
        known when it is wrong itself, or when it may stand in a file that cannot be read.
    """
    merged: dict[str, Any] = {}
    unread: list[str] = []
    for file in _files(path, unread):
        _merge(merged, _read(file, unread), str(file), {})
    for table in (_environment([]), overrides):
        _merge(merged, table, "", {})
    is_said = _says_state_dir(merged) or not isinstance(merged.get("gateway", {}), dict)
    while True:
        try:
            settings = _FromTables(**merged)
        except ValidationError as exc:
            if not merged:
                return Settings.model_construct(), False
            if not [each for each in exc.errors() if _leave_out(merged, each["loc"])]:
                merged.clear()
        else:
            return settings, _says_state_dir(merged) or not (is_said or unread)


def _says_state_dir(tables: dict[str, Any]) -> bool:
    table = tables.get("gateway")
    return isinstance(table, dict) and "state_dir" in table


def _leave_out(tables: dict[str, Any], location: tuple[int | str, ...]) -> bool:
    """Take out a wrong key, or the innermost one that holds what is wrong; say if there was one."""
    holder, wrong = tables, ""
    inner: Any = tables
    for part in location:
        if not isinstance(inner, dict) or part not in inner:
            break
        holder, wrong, inner = inner, str(part), inner[part]
    if wrong:
        del holder[wrong]
    return bool(wrong)


def _load(path: Path | None, overrides: dict[str, dict[str, Any]], *, existing: bool) -> Settings:
    merged: dict[str, Any] = {}
    where: dict[tuple[str, ...], str] = {}
    problems: list[str] = []
    for file in _files(path, problems):
        _merge(merged, _read(file, problems), str(file), where)
    _merge(merged, _environment(problems), "environment WEIR_...", where)
    _merge(merged, overrides, "command line", where)
    if existing:
        for key, named, reason in absent(merged):
            problems.append(f"{where[key]}: {'.'.join(key)} = {named!r}: {reason}")
    try:
        settings = _FromTables(**merged)
    except ValidationError as exc:
        problems += [explain(error, where, Settings) for error in exc.errors()]
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


def _environment(problems: list[str]) -> dict[str, Any]:
    """Return the tables that the environment gives; a variable of no table is a problem."""
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    for variable in os.environ:
        table = variable.upper().partition("__")[0]
        if table.startswith(_PREFIX) and table not in {*known, CONFIG_VARIABLE}:
            hint = did_you_mean(table, known)
            problems.append(f"environment: {variable}: unknown variable{hint}")
    try:
        return EnvSettingsSource(Settings)()
    except Exception as exc:  # noqa: BLE001 - pydantic-settings raises its own and ValueError
        problems.append(f"environment: {exc}")
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
        if isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge(into[key], value, file, where, at)
        else:
            into[key] = value
