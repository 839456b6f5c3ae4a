"""A camera's file, ``<folder>/<name>.toml``: read and checked, its login kept apart."""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from gateway.errors import CameraAwayError, CameraError
from gateway.ingest.cameras.address import Address, parse
from gateway.model import Points
from gateway.topics import token

MAX_NAME = 48
STALL_S = 5.0
MAX_FILE_BYTES = 100_000
MAX_PASSWORD_BYTES = 1000

Part = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Part, Part]
Kind = Literal["auto", "mjpeg", "snapshot"]


def _url(value: str) -> str:
    parse(value)
    return value


def _place_name(value: str) -> str:
    if value != token(value):
        raise ValueError("a name may hold letters, digits, - and _ only")
    return value


PlaceName = Annotated[str, AfterValidator(_place_name), Field(max_length=16)]
Line = Annotated[tuple[Point, ...], Field(min_length=2, max_length=2)]
Zone = Annotated[tuple[Point, ...], Field(min_length=3, max_length=32)]


class CameraSettings(BaseModel):
    """What one camera's file says. Lines and zones are parts of the picture, 0 to 1.

    Two are equal when they say the same; the login is no part of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_url)] = Field(repr=False, max_length=1000)
    enabled: bool = True
    kind: Kind = Field("auto", description="of http: what is there; auto: by its content type")
    password_file: str = Field("", description="relative to the camera's file")
    transport: Literal["tcp", "udp"] = Field("tcp", description="of rtsp")
    poll_fps: float = Field(
        1.0, gt=0, le=30, description="of snapshots: how often one is asked for"
    )
    stall_after_s: float | None = Field(
        None, ge=0, le=3600, description="no frame for so long: connect anew; 0: never; default 5"
    )
    frozen_after_s: float = Field(
        30.0, ge=0, le=86_400, description="the same picture for so long: connect anew; 0: never"
    )
    lines: dict[PlaceName, Line] = Field(default_factory=dict, max_length=32)
    zones: dict[PlaceName, Zone] = Field(default_factory=dict, max_length=32)

    _name: str = PrivateAttr(default="camera")
    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 - pydantic's signature
        """Keep where it is from: the validation's context is the file."""
        if isinstance(context, Path):
            self._name = context.stem
            self._folder = context.parent

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        web = self.address.scheme in {"http", "https"}
        if self.kind != "auto" and not web:
            raise ValueError("kind is for http(s) only")
        if self.password_file and not self.address.user:
            raise ValueError("password_file needs a user in the url: rtsp://user@host/...")
        if both := self.lines.keys() & self.zones.keys():
            raise ValueError(f"{min(both)!r} is a line and a zone")
        for name, line in self.lines.items():
            if line[0] == line[1]:
                raise ValueError(f"lines.{name}: has the same point twice")
        return self

    @property
    def name(self) -> str:
        """Return the camera's name, the stem of its file."""
        return self._name

    @property
    def address(self) -> Address:
        """Return the url's parts."""
        return parse(self.url)

    @property
    def shown_url(self) -> str:
        """Return the url for people to see: without user, password and query."""
        return self.address.shown

    @property
    def path(self) -> Path:
        """Return the path of a file or device; a relative one lies beside the camera's file."""
        return self._folder / self.address.rest

    @property
    def places(self) -> dict[str, Points]:
        """Return lines and zones by name."""
        return {**self.lines, **self.zones}

    @property
    def stall_s(self) -> float:
        """Return after how many seconds without a frame it is stalled; 0: never.

        Pictures over MQTT come when the device pleases, snapshots when they are asked for.
        """
        if self.stall_after_s is not None:
            return self.stall_after_s
        if self.address.scheme == "mqtt":
            return 0.0
        return max(STALL_S, 3 / self.poll_fps)

    def password(self) -> str:
        """Return the password, read anew each time; "" where there is none.

        Raises:
            CameraAwayError: The file cannot be read.
        """
        if not self.password_file:
            return ""
        file = self._folder / self.password_file
        try:
            with file.open("rb") as content:
                return content.read(MAX_PASSWORD_BYTES).decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            what = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
            raise CameraAwayError(f"password file {file}: {what}") from None


def load_camera(path: Path) -> CameraSettings:
    """Read and check a camera's file.

    Raises:
        CameraError: With the file, the key and what is allowed, and nothing of a login.
    """
    file = str(path)
    if path.stem != token(path.stem) or len(path.stem) > MAX_NAME:
        allowed = f"letters, digits, - and _ only, at most {MAX_NAME}"
        raise CameraError(file, "", f"the file's name is the camera's: {allowed}")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CameraError(file, "", f"larger than {MAX_FILE_BYTES} bytes")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise CameraError(file, "", f"not readable: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise CameraError(file, "", "not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise CameraError(file, "", f"not readable as TOML: {exc}") from None
    return check_camera(table, path)


def check_camera(table: dict[str, Any], path: Path) -> CameraSettings:
    """Check what stands, or is to stand, in a camera's file.

    Raises:
        CameraError: See `load_camera`.
    """
    try:
        settings = CameraSettings.model_validate(table, context=path)
    except ValidationError as exc:
        told = [_explain(error) for error in exc.errors()]
        key, reason = told[0]
        others = [f"{k}: {r}" if k else r for k, r in told[1:]]
        # Not chained: the cause would hold what was in the file, a password too.
        raise CameraError(str(path), key, "; ".join([reason, *others])) from None
    try:
        password = settings.password()
        if settings.address.user:
            settings.address.with_login(password)
    except CameraAwayError as exc:
        raise CameraError(str(path), "password_file", str(exc)) from None
    except ValueError as exc:
        raise CameraError(str(path), "url", str(exc)) from None
    return settings


def _explain(error: ErrorDetails) -> tuple[str, str]:
    """Return the key of a problem and its reason; a value is shown where it cannot be a secret."""
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = list(CameraSettings.model_fields)
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
        return key, f"unknown key; {hint}"
    if error["type"] == "missing":
        return key, "is required"
    message = error["msg"].removeprefix("Value error, ")
    shown = isinstance(error["input"], int | float) or key in {"kind", "transport"}
    return key, f"{error['input']!r:.80}: {message}" if shown else message
