"""The HTTP API: predictions of raw rows by the champion, and the predicted months.

`uvicorn housing_serving.app:app`. What it reads is the store alone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version as package_version
from typing import Any

import msgspec
import polars as pl
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from housing_assets.core.errors import HousingError
from housing_assets.core.features import FEATURES
from housing_assets.core.months import parse_month
from housing_assets.core.schema import BY_NAME
from housing_assets.store.layout import Store
from housing_serving.champion import Champion
from housing_serving.explain import describe, explain
from housing_serving.invocations import rows_from_csv, rows_from_json
from housing_serving.middleware import Guarded, Metrics, Observed
from housing_serving.predictor import FEW_ROWS, Predictor
from housing_serving.problems import problem
from housing_serving.rows import BadRowsError, FieldError, decode_rows
from housing_serving.schemas import EXAMPLE, ROWS_SCHEMA
from housing_serving.settings import ServingSettings

_JSON = "application/json"
_CSV = "text/csv"
_RETRY_AFTER = {"Retry-After": "5"}
_ROWS_BODY = {
    "requestBody": {"required": True, "content": {_JSON: {"schema": ROWS_SCHEMA, "example": EXAMPLE}}},
}
_MLFLOW_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {"schema": {"type": "object"}, "example": {"dataframe_records": EXAMPLE}},
            _CSV: {"schema": {"type": "string"}},
        },
    }
}
_MOST_LISTED = 10_000
encode = msgspec.json.Encoder().encode


class BodyError(Exception):
    """A body that is not read: its status and why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def create_app(settings: ServingSettings | None = None) -> FastAPI:
    """The application. It serves as soon as the store has a champion."""
    settings = settings or ServingSettings()  # pyright: ignore[reportCallIssue]  # every field has a default
    store = Store.open(settings.store_uri)
    kept = Store.open(settings.keep_folder) if settings.keep_folder else None
    champion, metrics = Champion(store, kept), Metrics()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        told: asyncio.Queue = asyncio.Queue()
        tasks = [asyncio.create_task(champion.follow(settings.reload_seconds, told)), asyncio.create_task(note(told))]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def note(told: asyncio.Queue) -> None:
        while True:
            found = await told.get()
            metrics.reloads.labels(found.outcome).inc()
            if found.outcome == "loaded":
                metrics.model.clear()
                metrics.model.labels(found.reason).set(1)
                metrics.loaded.set_to_current_time()

    app = FastAPI(
        title="Housing prices by month",
        version=package_version("housing-platform"),
        description="Monthly price predictions by ZIP code. An estimate, not an appraisal.",
        lifespan=lifespan,
    )
    app.state.champion = champion
    if settings.keys:
        app.add_middleware(Guarded, keys=settings.keys)
    app.add_middleware(Observed, metrics=metrics)
    _handle_errors(app)
    _add_health(app, champion, metrics)
    _add_predictions(app, settings, champion, metrics)
    _add_months(app, store)
    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(BadRowsError)
    async def bad_rows(_request: Request, error: BadRowsError) -> Response:
        return problem(error.status, str(error), error.errors)

    @app.exception_handler(BodyError)
    async def bad_body(_request: Request, error: BodyError) -> Response:
        return problem(error.status, error.detail)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def bad_query(_request: Request, error: RequestValidationError) -> Response:
        named = [FieldError(-1, str(e["loc"][-1]), f"{e['msg']}, not {str(e['input'])[:40]!r}") for e in error.errors()]
        return problem(422, f"{named[0].field}: {named[0].message}", named)


def _add_health(app: FastAPI, champion: Champion, metrics: Metrics) -> None:
    @app.get("/")
    async def about() -> dict[str, Any]:
        """Name, version and links."""
        links = {"docs": "/docs", "openapi": "/openapi.json", "health": "/health", "model": "/model"}
        return {"name": app.title, "version": app.version, "note": app.description, "links": links}

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        """200 while the process runs."""
        return {"status": "alive"}

    @app.get("/health/ready")
    async def ready() -> Response:
        """200 with the model version; 503 with the reason without one."""
        serving = champion.predictor
        if champion.leaving:
            return problem(503, "the server is leaving", headers=_RETRY_AFTER)
        if serving is None:
            return problem(503, champion.reason, headers=_RETRY_AFTER)
        return _json({"status": "ready", "model_version": serving.version})

    @app.get("/ping")
    async def ping() -> Response:
        """Readiness, as SageMaker asks for it."""
        return await ready()

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether predictions can be made, by which model, from how many features."""
        serving = champion.predictor
        return {
            "status": "healthy" if serving else "unhealthy",
            "model_version": serving.version if serving else None,
            "n_features_expected": len(FEATURES),
            "reason": champion.reason,
        }

    @app.get("/metrics")
    async def prometheus() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/model")
    async def model() -> Response:
        """The champion: version, metrics, training months, features with units and ranges."""
        serving = champion.predictor
        if serving is None:
            return problem(503, champion.reason, headers=_RETRY_AFTER)
        manifest = serving.bundle.manifest
        told = ("kind", "created", "months", "rows", "parameters", "source", "libraries")
        return _json(
            {
                "version": serving.version,
                **{name: manifest.get(name) for name in told},
                "metrics": serving.bundle.metrics(),
                "features": [_feature(name) for name in FEATURES],
            }
        )


def _feature(name: str) -> dict[str, Any]:
    column = BY_NAME.get(name) if name != "year" else None
    unit, low, high = (column.unit, column.low, column.high) if column else (None, None, None)
    return {"name": name, "description": describe(name), "unit": unit, "low": low, "high": high, "type": "number"}


def _add_predictions(app: FastAPI, settings: ServingSettings, champion: Champion, metrics: Metrics) -> None:
    most_bytes = int(settings.max_body_mb * 1e6)

    async def rows_of(request: Request, most: int) -> list[Any]:
        return decode_rows(await _body(request, most_bytes), most)

    @app.post("/predict", openapi_extra=_ROWS_BODY)
    async def predict(request: Request) -> Response:
        """Prices of raw rows with 90% intervals, one for each row, in order."""
        serving = champion.predictor
        if serving is None:
            return problem(503, champion.reason, headers=_RETRY_AFTER)
        rows = await rows_of(request, settings.max_rows)
        if len(rows) <= FEW_ROWS:
            answer = _answer(serving, rows)
        else:
            answer = await _aside(serving, _answer, serving, rows)
        metrics.rows.inc(len(rows))
        return Response(answer, media_type=_JSON)

    @app.post("/explain", openapi_extra=_ROWS_BODY)
    async def explanations(request: Request) -> Response:
        """What each feature adds to or takes off the price, in dollars that add up to it."""
        serving = champion.predictor
        if serving is None:
            return problem(503, champion.reason, headers=_RETRY_AFTER)
        rows = await rows_of(request, settings.max_explained_rows)
        found = await _aside(serving, lambda: explain(serving.model.trees, serving.matrix(rows)))
        told = [
            {"prediction": e.price, "base": e.base, "contributions": e.contributions, "factors": list(e.factors)}
            for e in found
        ]
        return _json({"explanations": told, "model_version": serving.version})

    @app.post("/invocations", openapi_extra=_MLFLOW_BODY)
    async def invocations(request: Request) -> Response:
        """The same predictions by MLflow's scoring protocol."""
        serving = champion.predictor
        if serving is None:
            return problem(503, champion.reason, headers=_RETRY_AFTER)
        body = await _body(request, most_bytes, (_JSON, _CSV))
        read = rows_from_csv if _kind(request) == _CSV else rows_from_json
        rows = await asyncio.to_thread(lambda: decode_rows(read(body), settings.max_rows))
        found = await _aside(serving, serving.predict, rows)
        metrics.rows.inc(len(rows))
        return _json({"predictions": found.price.tolist()})


def _answer(serving: Predictor, rows: list[Any]) -> bytes:
    found = serving.predict(rows)
    intervals = [list(ends) for ends in zip(found.low.tolist(), found.high.tolist(), strict=True)]
    answer: dict[str, Any] = {
        "predictions": found.price.tolist(),
        "intervals": intervals,
        "warnings": [{"row": w.row, "field": w.field, "message": w.message} for w in found.warnings],
        "model_version": serving.version,
    }
    if all(row.price for row in rows):
        answer["actuals"] = [row.price for row in rows]
    return encode(answer)


async def _aside(serving: Predictor, work: Callable[..., Any], *given: Any) -> Any:
    """Run work in the model's own bounded pool, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(serving.pool, work, *given)


def _kind(request: Request) -> str:
    """The media type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request, most: int, kinds: Sequence[str] = (_JSON,)) -> bytes:
    """The body of a request, read no further than the limit.

    Raises:
        BodyError: it is of another type or compressed (415), or larger than the limit (413).
    """
    kind = _kind(request)
    if kind not in kinds:
        raise BodyError(415, f"content-type is {kind[:40] or 'absent'!r}: send {' or '.join(kinds)}")
    if coding := request.headers.get("content-encoding", ""):
        raise BodyError(415, f"content-encoding {coding[:20]!r} is not taken: send the body as it is")
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most:
        raise BodyError(413, f"the body has {int(told):,} bytes, the limit is {most:,}: send fewer rows")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise BodyError(413, f"the body is larger than the limit of {most:,} bytes: send fewer rows")
    return bytes(body)


def _add_months(app: FastAPI, store: Store) -> None:
    months = store.months("monthly_predictions")

    @app.get("/predictions")
    async def predictions(
        month: str | None = None,
        zipcode: str | None = None,
        city_full: str | None = None,
        limit: int = Query(100, ge=1, le=_MOST_LISTED),
        offset: int = Query(0, ge=0),
    ) -> Response:
        """Rows of `monthly_predictions`; of the newest month, if none is given."""
        return await asyncio.to_thread(rows_of, month, zipcode, city_full, limit, offset)

    @app.get("/latest_predictions")
    async def latest(limit: int = Query(5, ge=1, le=_MOST_LISTED)) -> Response:
        """The newest month's first rows."""
        return await asyncio.to_thread(preview, limit)

    def read(month: str | None) -> tuple[str, pl.DataFrame] | None:
        newest = month or next(reversed(months.available()), None)
        return (newest, months.read(newest)) if newest else None

    def rows_of(month: str | None, zipcode: str | None, city_full: str | None, limit: int, offset: int) -> Response:
        try:
            found = read(parse_month(month) if month else None)
        except HousingError as error:
            status = 404 if month and month not in months.available() else 503
            told = f"there are no predictions for {month!r}" if status == 404 else type(error).__name__
            return problem(status, told)
        if found is None:
            return problem(404, "no month is predicted yet: run predictions_job (or `housing run`) first")
        frame = found[1]
        for name, wanted in (("zipcode", zipcode), ("city_full", city_full)):
            if wanted is not None:
                frame = frame.filter(pl.col(name) == wanted)
        shown = frame.slice(offset, limit)
        return _json({"month": found[0], "rows": frame.height, "offset": offset, "predictions": shown.to_dicts()})

    def preview(limit: int) -> Response:
        try:
            found = read(None)
        except HousingError as error:
            return problem(503, type(error).__name__)
        if found is None:
            return problem(404, "no month is predicted yet: run predictions_job (or `housing run`) first")
        return _json({"month": found[0], "rows": found[1].height, "preview": found[1].head(limit).to_dicts()})


def _json(value: object) -> Response:
    return Response(encode(value), media_type=_JSON)


app = create_app()
