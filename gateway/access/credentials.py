"""Passwords and keys: made at random, and kept as Mosquitto wants them."""

import base64
import hashlib
import secrets

_ITERATIONS = 101
"""As mosquitto_passwd has it. More would not help: our passwords have 120 random bits. And the
broker, which has one thread, pays for each of them at every connect and at every SIGHUP."""
_SALT_BYTES = 12  # no other length is taken
_PASSWORD_BYTES = 15
_KEY_BYTES = 16


def new_password() -> str:
    """Return a password of 120 random bits: 20 letters, digits, ``-`` and ``_``.

    The first one is a letter or digit: some consoles take a leading ``-`` for an option.
    """
    while True:
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        if password[0].isalnum():
            return password


def new_key() -> str:
    """Return a pre-shared key of 128 random bits, in hexadecimal."""
    return secrets.token_hex(_KEY_BYTES)


def hashed(password: str, salt: bytes | None = None) -> str:
    """Return a password as a line of Mosquitto's ``password_file`` has it.

    That is ``$7$iterations$salt$hash``: PBKDF2 with SHA-512, both parts in base64 (Mosquitto's
    ``apps/mosquitto_passwd``).

    Args:
        password: What the device will say.
        salt: 12 bytes; random when left out.
    """
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    parts = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"$7${_ITERATIONS}${'$'.join(parts)}"


def fits(password: str, kept: str) -> bool:
    """Say whether a password is the one that was kept by `hashed`."""
    try:
        salt = base64.b64decode(kept.split("$")[3], validate=True)
    except (IndexError, ValueError):
        return False
    return secrets.compare_digest(hashed(password, salt), kept)
