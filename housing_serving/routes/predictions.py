"""`/predict`, `/explain` and `/invocations`: predictions of rows that a client sends.

What belongs here: which format a body and an answer have, and what runs on the event loop. How rows are decoded belongs
in `json_rows`, `arrow` and `invocations`, how they are predicted in `predictor` and `explanations`.
"""

from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from msgspec import UNSET
from pydantic import TypeAdapter, ValidationError

from housing_serving.answers import answer, answered, no_model, run_in_pool
from housing_serving.arrow import decode_arrow, encode_arrow
from housing_serving.bodies import ARROW, CSV, JSON, header, media_type, read_body
from housing_serving.explanations import explain
from housing_serving.invocations import rows_from_csv, rows_from_json
from housing_serving.json_rows import decode_rows
from housing_serving.middleware import Metrics
from housing_serving.model_holder import ModelHolder
from housing_serving.plain_route import PlainRoute
from housing_serving.predictor import FEW_ROWS, Predictor
from housing_serving.quick_answers import QUICK_BYTES
from housing_serving.rows import Rows
from housing_serving.schemas import EXAMPLE, ROWS_SCHEMA, Explained, Explanations, Predicted, Scored, Warned
from housing_serving.settings import ServingSettings

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_encode = msgspec.json.Encoder().encode

_HISTORY: dict[str, Any] = {
    "name": "history",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": True},
    "description": "Predict from the zips' own past, where it is known? false: from the rows' figures alone",
}
_BOOLEAN = TypeAdapter(bool)


def _request_body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _uses_history(request: Request) -> bool:
    """The query parameter `history`. As a parameter of the operation it cost more than to predict a row.

    Raises:
        RequestValidationError: it is no boolean.
    """
    if not request.scope["query_string"]:
        return True
    try:
        return _BOOLEAN.validate_python(request.query_params.get("history", True))
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("query", "history")} for e in error.errors()]) from None


_ROWS = {JSON: {"schema": ROWS_SCHEMA, "example": EXAMPLE}}
_SPLIT: dict[str, Any] = {
    "type": "object",
    "required": ["columns", "data"],
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "array", "items": {"type": "array"}},
    },
}
_MLFLOW = {
    "type": "object",
    "anyOf": [
        {"required": ["dataframe_records"], "properties": {"dataframe_records": ROWS_SCHEMA}},
        {"required": ["dataframe_split"], "properties": {"dataframe_split": _SPLIT}},
    ],
}
_MLFLOW_BODIES = {
    JSON: {"schema": _MLFLOW, "example": {"dataframe_records": EXAMPLE}},
    CSV: {"schema": {"type": "string"}, "example": "date,zipcode\n2023-06-30,02139\n"},
}


def add_predictions(app: FastAPI, settings: ServingSettings, holder: ModelHolder, metrics: Metrics) -> None:
    """`/predict`, `/explain`, `/invocations`."""
    predicted = answered(Predicted, body=True)
    predicted[200]["content"][ARROW] = _BINARY
    with_history = {"parameters": [_HISTORY]}

    async def predict(request: Request) -> Response:
        """Prices of raw rows with 90% intervals, one for each row, in order: from the past of the row's zip where that
        is known, else from the row's own figures, with a warning."""
        history = _uses_history(request)
        serving = holder.predictor
        if serving is None:
            return no_model(holder)
        body = await read_body(request, settings, (JSON, ARROW))
        kind = media_type(request)
        accepted = header(request.scope, b"accept").decode("latin-1")
        in_arrow = ARROW in accepted or (kind == ARROW and JSON not in accepted)
        if kind == ARROW:
            # The first of these imports pyarrow, which no event loop should wait for.
            rows = await run_in_pool(decode_arrow, body, settings.max_rows)
        else:
            rows = await _decoded(body, settings.max_rows)
        encode = arrow_answer if in_arrow else json_answer
        quick = len(rows) <= FEW_ROWS and not in_arrow and (not history or serving.is_ready(rows))
        content = encode(serving, rows, history) if quick else await run_in_pool(encode, serving, rows, history)
        metrics.rows.inc(len(rows))
        return Response(content, media_type=ARROW if in_arrow else JSON)

    app.router.add_api_route(
        "/predict",
        predict,
        methods=["POST"],
        responses=predicted,
        openapi_extra={**_request_body({**_ROWS, ARROW: _BINARY}), **with_history},
        route_class_override=PlainRoute,
    )

    @app.post(
        "/explain",
        responses=answered(Explanations, body=True),
        openapi_extra={**_request_body(_ROWS), **with_history},
    )
    async def explanations(request: Request) -> Response:
        """What each feature adds to or takes off the price, in dollars that add up to it."""
        history = _uses_history(request)
        serving = holder.predictor
        if serving is None:
            return no_model(holder)
        rows = await _decoded(await read_body(request, settings), settings.max_explained_rows)
        explained = await run_in_pool(explain, serving, rows, history)
        structs = [
            Explained(e.price, e.base, e.from_history, e.predictor, e.contributions, list(e.factors)) for e in explained
        ]
        return answer(Explanations(structs, serving.version))

    @app.post("/invocations", responses=answered(Scored, body=True), openapi_extra=_request_body(_MLFLOW_BODIES))
    async def invocations(request: Request) -> Response:
        """The same predictions by MLflow's scoring protocol."""
        serving = holder.predictor
        if serving is None:
            return no_model(holder)
        body = await read_body(request, settings, (JSON, CSV))
        read = rows_from_csv if media_type(request) == CSV else rows_from_json
        predictions = await run_in_pool(lambda: serving.predict(read(body, settings.max_rows)))
        metrics.rows.inc(len(predictions.price))
        return answer(Scored(predictions.price.tolist()))


async def _decoded(body: bytes, most: int) -> Rows:
    """Rows of a body; of one that is not small, off the event loop."""
    return decode_rows(body, most) if len(body) <= QUICK_BYTES else await run_in_pool(decode_rows, body, most)


def json_answer(serving: Predictor, rows: Rows, history: bool) -> bytes:
    """Predictions as the JSON that `/predict` answers with."""
    predictions = serving.predict(rows, history)
    warnings = [Warned(w.row, w.field, w.message) for w in predictions.warnings]
    # An array of pairs, whether they are tuples or lists.
    intervals = list(zip(predictions.low.tolist(), predictions.high.tolist(), strict=True))
    actuals = rows.actuals
    return _encode(
        Predicted(
            predictions.price.tolist(),
            intervals,
            predictions.from_history.tolist(),
            predictions.predictors,
            warnings,
            serving.version,
            UNSET if actuals is None else actuals,
        )
    )


def arrow_answer(serving: Predictor, rows: Rows, history: bool) -> bytes:
    """The same as an Arrow stream."""
    return encode_arrow(serving.predict(rows, history), rows.actuals, serving.version)
