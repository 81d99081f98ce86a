"""`/predict` as most call it: few rows in JSON, all of zips with a history, in a body that arrives at once.

Such a call is answered from look-ups, without an array, a route or a response object, each of which costs as much as
the answer itself. The answer is byte for byte what `routes.predictions` gives. Whatever is not so simple goes there: a
row that is wrong, one that needs trees or a warning, another format, a large body.
"""

import msgspec
from fastapi import FastAPI, Response
from msgspec import UNSET
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from housing_serving.bodies import ARROW, JSON, READ_BODY, BodyError, header, read_bytes
from housing_serving.json_rows import UNREADABLE, count_fields, decode_raw_rows, may_repeat_keys
from housing_serving.middleware import Metrics
from housing_serving.model_holder import ModelHolder
from housing_serving.predictor import Predictor
from housing_serving.problems import problem
from housing_serving.raw_row import ABSENT, numbers_of
from housing_serving.rows import is_cents
from housing_serving.schemas import Predicted
from housing_serving.settings import ServingSettings

QUICK_BYTES = 16_384
"""Bytes whose rows are decoded, or refused, in less time than it takes to hand them to a thread."""
_PATH = "/predict"
_JSON, _ARROW = JSON.encode(), ARROW.encode()
_CONTENT_TYPE = (b"content-type", _JSON)
_encode = msgspec.json.Encoder().encode


def quick_answer(serving: Predictor, body: bytes, most: int) -> tuple[bytes, int] | None:
    """The JSON that `/predict` answers with, and how many rows it is for; None if a row needs more than a look-up.

    Args:
        serving: that predicts.
        body: any bytes.
        most: rows that are allowed.
    """
    try:
        raw_rows = decode_raw_rows(body)
    except UNREADABLE:
        return None
    count = len(raw_rows)
    if not 0 < count <= most:
        return None
    prices: list[float] = []
    intervals: list[tuple[float, float]] = []
    absent_numbers = 0
    for row in raw_rows:
        known = serving.known_price(row.date, row.zipcode, row.city_full or None)
        if known is None or is_cents(row.price):
            return None
        price, low, high = known
        prices.append(price)
        intervals.append((low, high))
        absent_numbers += numbers_of(row).count(ABSENT)
    if may_repeat_keys(body, count_fields(raw_rows, absent_numbers)):
        return None
    actuals = [row.price for row in raw_rows if row.price is not None and row.price > 0]
    from_history = [True] * count
    answer = Predicted(
        prices,
        intervals,
        from_history,
        serving.predictors(from_history),
        [],
        serving.version,
        actuals if len(actuals) == count else UNSET,
    )
    return _encode(answer), count


class QuickAnswers:
    """ASGI middleware: `quick_answer` where a call of `/predict` has one. All other calls pass on."""

    def __init__(
        self, app: ASGIApp, described: FastAPI, settings: ServingSettings, holder: ModelHolder, metrics: Metrics
    ) -> None:
        """Answer in front of an application.

        Args:
            app: that gets all other calls.
            described: has the route of `/predict`, by which logs and metrics name a call.
            settings: with the limits.
            holder: of the model.
            metrics: that count rows.
        """
        self.app, self.holder, self.metrics = app, holder, metrics
        self.route = next(route for route in described.routes if getattr(route, "path", "") == _PATH)
        self.most_bytes = min(QUICK_BYTES, int(settings.max_body_mb * 1e6))
        self.most_rows, self.seconds = settings.max_rows, settings.body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with the body that was read."""
        serving = self.holder.predictor
        if serving is None or not self._may_be_quick(scope):
            await self.app(scope, receive, send)
            return
        scope["route"] = self.route
        try:
            body = await read_bytes(scope, receive, self.most_bytes, self.seconds)
        except BodyError as error:
            await problem(error.kind, error.detail)(scope, receive, send)
            return
        except ClientDisconnect:
            await Response(status_code=499)(scope, receive, send)
            return
        answer = quick_answer(serving, body, self.most_rows)
        if answer is None:
            scope[READ_BODY] = body
            await self.app(scope, receive, send)
            return
        content, rows = answer
        self.metrics.rows.inc(rows)
        headers = [(b"content-length", b"%d" % len(content)), _CONTENT_TYPE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _may_be_quick(self, scope: Scope) -> bool:
        """True for a call of `/predict` with a small body of JSON whose answer is JSON, without parameters."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            return False
        if scope["path"].removeprefix(scope.get("root_path", "")) != _PATH:
            return False
        # A body without a length may be of any size, and is left to who reads those.
        length = header(scope, b"content-length")
        return (
            header(scope, b"content-type") == _JSON
            and length.isdigit()
            and int(length) <= self.most_bytes
            and not header(scope, b"content-encoding")
            and _ARROW not in header(scope, b"accept")
        )
