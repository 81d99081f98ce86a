"""Errors as RFC 9457 problem details: what is wrong, where, and nothing of the server's insides."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import Response

from housing_serving.rows import FieldError

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "The body cannot be read",
    401: "An API key is needed",
    404: "Not found",
    405: "Method not allowed",
    413: "The body is too large",
    415: "The body is of another type",
    422: "The rows are not valid",
    500: "The server failed",
    503: "No model is ready",
}


def problem(
    status: int, detail: str, errors: Sequence[FieldError] = (), headers: dict[str, str] | None = None
) -> Response:
    """A problem answer.

    Args:
        status: HTTP status.
        detail: one sentence for people.
        errors: rows and fields that are wrong.
        headers: further ones.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status, "The request failed"),
        "status": status,
        "detail": detail,
        "errors": [{"row": e.row, "field": e.field, "message": e.message} for e in errors],
    }
    return Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)
