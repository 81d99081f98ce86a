"""The HTTP API: predictions of raw rows by the champion, and the predicted months.

`uvicorn housing_serving.app:app`. What it reads is the store alone.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from importlib.metadata import version as package_version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
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
from housing_serving.predictor import Predictor
from housing_serving.problems import kind_of, problem
from housing_serving.routes.batches import add_batches
from housing_serving.routes.health import add_health
from housing_serving.routes.months import add_months
from housing_serving.routes.places import add_places
from housing_serving.routes.predictions import add_predictions
from housing_serving.rows import BadRowsError, FieldError
from housing_serving.schemas import components
from housing_serving.settings import ServingSettings

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
    kept = Store.open(settings.keep_folder) if settings.keep_folder else None
    holder, metrics = ModelHolder(store, kept), Metrics()
    shown: Predictor | None = None

    def note(found: Reload) -> None:
        nonlocal shown
        metrics.reloads.labels(found.outcome, found.error).inc()
        serving = holder.predictor
        # Also beside something else that was refused.
        if serving and serving is not shown:
            shown = serving
            log.info("the model is loaded", extra={"model_version": serving.version})
            metrics.model.clear()
            metrics.model.labels(serving.version).set(1)
            metrics.loaded.set_to_current_time()
            made = datetime.fromisoformat(serving.bundle.manifest["created"]).timestamp()
            metrics.age.set_function(lambda: time.time() - made)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        log_as_json(settings.log_level)
        following = asyncio.create_task(holder.follow(settings.reload_seconds, settings.start_seconds, note))
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    app = FastAPI(
        title="Housing prices by month",
        version=package_version("housing-platform"),
        description="Monthly price predictions by ZIP code. An estimate, not an appraisal.",
        lifespan=lifespan,
    )
    app.state.holder = holder
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
    _handle_errors(app)
    add_health(app, settings, holder, metrics)
    add_predictions(app, settings, holder, metrics)
    add_months(app, store)
    add_places(app, store)
    add_batches(app, settings, store)
    _describe(app, guarded=bool(settings.keys))
    _answer_head(app)
    return app


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
        named = [FieldError(-1, str(e["loc"][-1]), f"{e['msg']}, not {str(e['input'])[:40]!r}") for e in error.errors()]
        return problem("not_valid", f"{named[0].field}: {named[0].message}", named)

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=499)


def _describe(app: FastAPI, guarded: bool) -> None:
    """OpenAPI with the structs that answers are made of, and the API key where one is asked for."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        told = plain()
        for operations in told["paths"].values():
            operations.pop("head", None)
        parts = told.setdefault("components", {})
        parts["schemas"] = components()
        if guarded:
            parts["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
            told["security"] = [{"key": []}]
        return told

    app.openapi = openapi


def _answer_head(app: FastAPI) -> None:
    """Let HEAD be called wherever GET is: the same headers, and the server leaves the body out."""
    # Described before: HEAD is in HTTP itself, and OpenAPI would give each operation a second time under one name.
    app.openapi()
    for route in app.routes:
        if isinstance(route, Route) and "GET" in (route.methods or ()):
            route.methods = {*(route.methods or ()), "HEAD"}


app = create_app()
