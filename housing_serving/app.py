"""The HTTP API: predictions of raw rows by the champion, and the predicted months.

`uvicorn housing_serving.app:app`. It reads nothing but the store.

What belongs here: how the parts of the API are put together. Calls belong in `routes`, whose docstring says how to add
one.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from importlib.metadata import version as package_version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from housing_assets.config.environment import read_environment
from housing_assets.store.layout import Store
from housing_serving.bodies import BodyError
from housing_serving.logs import log_as_json
from housing_serving.memory import share_arenas
from housing_serving.middleware import Failing, Guarded, Limited, Metrics, Observed, Rooted
from housing_serving.model_holder import ModelHolder, Reload
from housing_serving.plain_route import try_first
from housing_serving.predictor import Predictor
from housing_serving.problems import kind_of, problem
from housing_serving.quick_answers import QuickAnswers
from housing_serving.routes.batches import add_batches
from housing_serving.routes.health import add_health
from housing_serving.routes.model import add_model
from housing_serving.routes.months import add_months
from housing_serving.routes.places import add_places
from housing_serving.routes.predictions import add_predictions
from housing_serving.rows import BadRowsError, FieldError
from housing_serving.schemas import components
from housing_serving.settings import ServingSettings
from housing_serving.traces import traces

log = logging.getLogger("housing_serving")


def create_app(settings: ServingSettings | None = None) -> FastAPI:
    """The application. It serves as soon as the store has a champion.

    Args:
        settings: None reads the environment.

    Raises:
        HousingError: a value of the environment makes no sense; the message names its variable.
    """
    share_arenas()
    settings = settings or read_environment(ServingSettings)
    store = Store.open(settings.store_uri)
    kept = Store.open(settings.keep_folder) if settings.keeps_copy else None
    holder, metrics = ModelHolder(store, kept), Metrics()
    report = _reporter(holder, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        log_as_json(settings.log_level)
        following = asyncio.create_task(holder.follow(settings.reload_seconds, settings.start_seconds, report))
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    app = FastAPI(
        title="Housing prices by month",
        version=package_version("housing-platform"),
        description="Monthly price predictions by ZIP code. An estimate, not an appraisal.",
        lifespan=lifespan,
        telemetry=traces(settings.otlp_endpoint, settings.api_root_path),
    )
    app.state.holder = holder
    _handle_errors(app)
    add_predictions(app, settings, holder, metrics)
    add_health(app, settings, holder, metrics)
    add_model(app, holder)
    add_months(app, store)
    add_places(app, store)
    add_batches(app, settings, store)
    # Routes are tried in order: `/predict` is the first, and the pages of FastAPI itself come last.
    app.router.routes.sort(key=lambda route: not isinstance(route, APIRoute))
    _describe(app, guarded=bool(settings.keys))
    _answer_head(app)
    _add_middleware(app, settings, holder, metrics)
    if not settings.otlp_endpoint:
        # The router is what tells a trace which route was called.
        try_first(app, "/predict")
    return app


def _reporter(holder: ModelHolder, metrics: Metrics) -> Callable[[Reload], None]:
    """A function of a look at the store: it counts the look, and shows the model that serves since in the metrics."""
    shown: Predictor | None = None

    def report(result: Reload) -> None:
        nonlocal shown
        metrics.reloads.labels(result.outcome, result.error).inc()
        serving = holder.predictor
        # Whatever the outcome: a champion can be taken by a look that refused something else.
        if serving and serving is not shown:
            shown = serving
            log.info("the model is loaded", extra={"model_version": serving.version})
            metrics.model.clear()
            metrics.model.labels(serving.version).set(1)
            metrics.loaded.set_to_current_time()
            created = datetime.fromisoformat(serving.bundle.manifest["created"]).timestamp()
            metrics.age.set_function(lambda: time.time() - created)

    return report


def _add_middleware(app: FastAPI, settings: ServingSettings, holder: ModelHolder, metrics: Metrics) -> None:
    """What each request passes through; the last one that is added is the outermost."""
    if not settings.otlp_endpoint:
        # The router is what tells a trace which route was called.
        app.add_middleware(QuickAnswers, described=app, settings=settings, holder=holder, metrics=metrics)
    if settings.keys:
        app.add_middleware(Guarded, keys=settings.keys)
    app.add_middleware(Limited, most=settings.max_concurrent, rate=settings.rate_limit, keys=settings.keys)
    app.add_middleware(Failing)
    if settings.origins:
        # Outside of keys and limits: a preflight has no key, and a browser shows no error that lacks these headers.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("Accept", "Content-Type", "X-API-Key", "X-Request-ID"),
            allow_credentials=True,
            expose_headers=("Retry-After", "X-Request-ID"),
        )
    app.add_middleware(Observed, metrics=metrics)
    if settings.api_root_path:
        app.add_middleware(Rooted, path=settings.api_root_path)


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(BadRowsError)
    async def bad_rows(_request: Request, error: BadRowsError) -> Response:
        return problem(kind_of(error.status), str(error), error.errors)

    @app.exception_handler(BodyError)
    async def bad_body(_request: Request, error: BodyError) -> Response:
        return problem(error.kind, error.detail)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> Response:
        return problem(kind_of(error.status_code), str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def bad_query(_request: Request, error: RequestValidationError) -> Response:
        errors = [
            FieldError(-1, str(e["loc"][-1]), f"{e['msg']}, not {str(e['input'])[:40]!r}") for e in error.errors()
        ]
        return problem("not_valid", f"{errors[0].field}: {errors[0].message}", errors)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=499)


def _describe(app: FastAPI, guarded: bool) -> None:
    """Complete OpenAPI with the structs that answers are made of, and with the API key where one is needed."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        for operations in document["paths"].values():
            operations.pop("head", None)
        parts = document.setdefault("components", {})
        parts["schemas"] = components()
        if guarded:
            parts["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
            document["security"] = [{"key": []}]
        return document

    app.openapi = openapi


def _answer_head(app: FastAPI) -> None:
    """Let HEAD be called wherever GET is: the same headers, and the server leaves the body out."""
    # OpenAPI is made first: HEAD is part of HTTP, and each operation would be listed twice under one name.
    app.openapi()
    for route in app.routes:
        if isinstance(route, Route) and "GET" in (route.methods or ()):
            route.methods = {*(route.methods or ()), "HEAD"}


app = create_app()
