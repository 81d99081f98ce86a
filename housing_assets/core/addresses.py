"""Addresses as they may be shown: without passwords, keys and tokens."""

import re
from urllib.parse import unquote

_ADDRESS = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://((?:[^:/?#\s]*:)?(?:(?![A-Za-z][A-Za-z0-9+.-]*://)[^\r\n])*)",
)
"""A scheme, and what follows up to the next address or the end of the line: a password may hold any character. A user
whose password begins with `//` is no scheme."""
_USER = re.compile(r"[^:/?#\s]*:")
_PORT = re.compile(r"[0-9]*(?=[/?#\s,;)\]'\"]|$)")
_WEB = ("http", "https")
_PARAMETER = re.compile(r"(?<=[?&;#])([^=&;#?\s]+)=([^&\s]*?)(?=['\")\].,:;]*(?:[&\s]|$))")
_SECRET = re.compile(r"pass|pwd|secret|token|key|credential|signature|^sig$|auth|^code$", re.IGNORECASE)


def without_password(text: str) -> str:
    """The same with `***` for the password and the secret parameters of every address in it, so that it can be shown.

    Where it cannot be told how far a password goes, as with an `@` in it or further on, more is hidden, never less.
    The one exception is an address of the web whose password would begin as a port does: `http://host:1/a@b`.
    """
    return _ADDRESS.sub(lambda found: f"{found[1]}://{_without_secrets(found[1], found[2])}", text)


def _without_secrets(scheme: str, rest: str) -> str:
    """What follows `scheme://`, without its secrets.

    `urlsplit` is of no use: a password that should have been encoded and was not, the usual mistake, ends its host.
    """
    user = _USER.match(rest)
    if user and "@" in rest[user.end() :] and not (scheme.lower() in _WEB and _PORT.match(rest, user.end())):
        rest = f"{user[0]}***@{rest.rpartition('@')[2]}"
    return _PARAMETER.sub(_hidden, rest)


def _hidden(found: re.Match[str]) -> str:
    return f"{found[1]}=***" if _SECRET.search(unquote(found[1])) else found[0]
