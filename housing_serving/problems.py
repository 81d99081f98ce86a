"""Errors as RFC 9457 problem details: what is wrong and where, and nothing about the internals of the server."""

from collections.abc import Mapping, Sequence

import msgspec
from fastapi import Response
from starlette.types import Receive, Scope, Send

from housing_serving.bodies import is_left, leave_body
from housing_serving.rows import FieldError
from housing_serving.schemas import Problem

MEDIA_TYPE = "application/problem+json"
RETRY_LATER = {"Retry-After": "5"}
KINDS: dict[str, tuple[int, str]] = {
    "unreadable_body": (400, "The body cannot be read"),
    "no_key": (401, "An API key is needed"),
    "not_found": (404, "Not found"),
    "not_sound": (409, "Held back by its checks"),
    "wrong_method": (405, "Method not allowed"),
    "slow_body": (408, "The body did not arrive in time"),
    "too_large": (413, "The body is too large"),
    "wrong_type": (415, "The body is of another type"),
    "not_valid": (422, "The request is not valid"),
    "too_often": (429, "Too many requests"),
    "failed": (500, "The server failed"),
    "no_model": (503, "No model is ready"),
    "leaving": (503, "The server is leaving"),
    "busy": (503, "The server is busy"),
    "not_checked": (503, "Not checked yet"),
    "no_store": (503, "The store cannot be read"),
    "no_dagster": (503, "Dagster is not there"),
}
"""Kinds of problems: status and title, by the name that metrics and logs use."""
_BY_STATUS = {status: kind for kind, (status, _) in reversed(KINDS.items())}


class _ProblemResponse(Response):
    """A problem that tells the middleware what kind it is, and that ends the connection of a body that goes on."""

    kind = "failed"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["problem"] = self.kind
        if self.kind != "slow_body" and not is_left(scope):
            await super().__call__(scope, receive, send)
            return
        # Else an endless body would be read, and thrown away, for as long as its client sends it.
        self.headers["connection"] = "close"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if self.kind != "slow_body":
            await leave_body(scope, receive)
        await send({"type": "http.response.body", "body": b""})


def problem(
    kind: str, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A problem answer.

    Args:
        kind: one of `KINDS`.
        detail: one sentence for people.
        errors: rows and fields that are wrong.
        headers: further ones.
    """
    status, title = KINDS[kind]
    body = msgspec.json.encode(Problem("about:blank", title, status, detail, tuple(errors)))
    answer = _ProblemResponse(body, status, headers, MEDIA_TYPE)
    answer.kind = kind
    return answer


def kind_of(status: int) -> str:
    """The kind of a status that some library answered with."""
    return _BY_STATUS.get(status, "failed" if status >= 500 else "not_valid")
