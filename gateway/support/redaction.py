"""Takes secrets out of text: those that are known, and what looks like one."""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

MASK = "<removed>"
SHORTEST = 6
"""Characters of a known secret that is looked for; shorter ones would take words away."""

_WORDS = r"(?:password|passwd|passphrase|secret|token|api_?key|psk|seed|pwd)"
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), put)
    for pattern, put in (
        # A login in a url; a user alone is a token at a hub, hence gone too.
        (r"(?<=://)[^/@\s\"']+@", f"{MASK}@"),
        # A url's query: cameras take passwords there.
        (r"(?<=\?)[^\s\"'<>]*(?:pass|pwd|token|key|auth|user)[^\s\"'<>]*", MASK),
        # PEM and NATS blocks, whole or cut off.
        (r"-----BEGIN [A-Z ]*(?:KEY|JWT|SEED)[A-Z ]*-----.*?(?:-----+END [^-]*-----+|\Z)", MASK),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", MASK),  # a JWT
        (r"\bS[UAOCNX][A-Z2-7]{56}\b", MASK),  # an nkey's seed
        (r"\$[67](?:\$\d+)?\$[\w+/=]+\$[\w+/=]+", MASK),  # Mosquitto's hashed passwords
        (r"\b(authorization\s*[:=]\s*)(\S[^\r\n]*)", ""),
        # password = "x", "token": x, --token x; not a file that holds one.
        (
            rf"((?:\b\w*{_WORDS}(?!\w*_file)\w*[\"']?\s*[:=]|--?{_WORDS}(?![\w-]))\s*)"
            r"(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;\"'}\]]+)",
            "",
        ),
    )
)


class Redactor:
    """Takes secrets out.

    Args:
        secrets: Those that are known; each is found wherever it stands, percent-encoded too.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form
            for secret in secrets
            for form in (secret, quote(secret, safe=""), quote(secret), unquote(secret))
            if len(form) >= SHORTEST
        }
        ordered = sorted(forms, key=len, reverse=True)  # one may be a part of another
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def clean(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known:
            text = self._known.sub(MASK, text)
        for pattern, put in _PATTERNS:
            text = pattern.sub(put or _keep_the_name, text)
        return text


def _keep_the_name(found: re.Match[str]) -> str:
    name, value = found.group(1), found.group(2)
    if value.strip("\"'") in {"", MASK, "true", "false", "null", "None"}:
        return found.group(0)
    mark = value[0] if value[0] in "\"'" else ""
    return f"{name}{mark}{MASK}{mark}"
