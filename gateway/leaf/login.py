"""The login at the hub, from the file that holds it."""

import re

from gateway.config import HubSection
from gateway.errors import ConfigError

_LOGIN = re.compile(r"[^\s@/:]+(:[^\s@/:]+)?")


def read_login(hub: HubSection) -> str:
    """Return ``user:password`` or a token as it stands in a url; "" where there is no file.

    Raises:
        ConfigError: The file cannot be read, or holds something else.
    """
    if hub.login_file is None:
        return ""
    key = f"hub.login_file = {str(hub.login_file)!r}"
    try:
        login = hub.login_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "not a text file"
        raise ConfigError([f"{key}: not readable: {reason}"]) from exc
    if not _LOGIN.fullmatch(login):
        raise ConfigError([f"{key}: must hold user:password or a token, percent-encoded, no more"])
    return login
