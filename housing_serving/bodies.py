"""Bodies: of a known type, read no further than the limits, and only as long as the client has time.

What belongs here: headers and bytes. What bytes mean belongs in `json_rows`, `arrow` and `invocations`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from housing_serving.settings import ServingSettings

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
WHOLE = "housing.body_is_whole"
"""Key of a scope: True once the last byte of the body was read."""
READ_BODY = "housing.body"
"""Key of a scope: the body, where it was read before the operation was called."""
KEPT_BYTES = 65_536
"""Bytes of a body that is not read, after which the connection still serves the next call."""
LEFT_BYTES, LEFT_SECONDS = 64_000_000, 2.0
"""Most that is read of a larger one after the answer, so that its client can read that."""


class BodyError(Exception):
    """A body that is not read: the kind of problem (see `problems.KINDS`) and the reason."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def header(scope: Scope, name: bytes) -> bytes:
    """A header's value, the first where it is there several times; empty if it is not there.

    Args:
        scope: of the request.
        name: in lower case.
    """
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


def media_type(request: Request) -> str:
    """The media type of the body, without parameters."""
    return header(request.scope, b"content-type").decode("latin-1").partition(";")[0].strip().lower()


async def read_body(
    request: Request, settings: ServingSettings, kinds: Sequence[str] = (JSON,), most_bytes: int | None = None
) -> bytes:
    """The body of a request.

    Args:
        request: that has it.
        settings: with the limits.
        kinds: media types that are accepted.
        most_bytes: a lower limit than that of the settings.

    Raises:
        BodyError: it is of another type or compressed (415), larger than the limit (413), or late (408).
    """
    scope, receive = request.scope, request.receive
    kind = media_type(request)
    if kind not in kinds:
        raise BodyError("wrong_type", f"content-type is {kind[:40] or 'absent'!r}: send {' or '.join(kinds)}")
    if coding := header(scope, b"content-encoding").decode("latin-1"):
        raise BodyError("wrong_type", f"content-encoding {coding[:20]!r} is not taken: send the body as it is")
    most = int(settings.max_body_mb * 1e6)
    most = most if most_bytes is None else min(most, most_bytes)
    length = header(scope, b"content-length")
    if length.isdigit() and int(length) > most:
        raise BodyError("too_large", f"the body has {int(length):,} bytes, the limit is {most:,}: send fewer rows")
    if READ_BODY in scope:
        return scope[READ_BODY]
    return await read_bytes(scope, receive, most, settings.body_seconds)


async def read_bytes(scope: Scope, receive: Receive, most: int, seconds: float) -> bytes:
    """The bytes of a body.

    Args:
        scope, receive: of the request.
        most: bytes that are allowed.
        seconds: that the client has.

    Raises:
        BodyError: it is larger than the limit (413), or late (408).
        ClientDisconnect: the client is gone.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while not scope.get(WHOLE):
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                scope[WHOLE] = not message.get("more_body", False)
                size += len(parts[-1])
                if size > most:
                    raise BodyError(
                        "too_large", f"the body is larger than the limit of {most:,} bytes: send fewer rows"
                    )
    except TimeoutError:
        message = f"the body did not arrive within {seconds:g} seconds: send it at once"
        raise BodyError("slow_body", message) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def leave_body(scope: Scope, receive: Receive) -> None:
    """Read and forget what is left of a body that got its answer, within limits.

    A client that still sends would not see its answer if the connection were closed under it (RFC 9112, 9.6).
    """
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LEFT_SECONDS):
            while not scope.get(WHOLE) and size < LEFT_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                scope[WHOLE] = not message.get("more_body", False)


def is_left(scope: Scope) -> bool:
    """True if more of a request's body may come than a connection that goes on could wait for."""
    if scope.get(WHOLE):
        return False
    length = header(scope, b"content-length")
    return bool(header(scope, b"transfer-encoding")) or (length.isdigit() and int(length) > KEPT_BYTES)
