"""`/`, `/health*`, `/ping` and `/metrics`: whether the server runs, whether it can predict, and its figures.

What belongs here: calls of who watches the server. They answer without a model, and all but `/` without a key.
"""

from typing import Any

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from housing_assets.core.features.monthly import FEATURES
from housing_serving.answers import answer, answered, no_model
from housing_serving.middleware import Metrics
from housing_serving.model_holder import ModelHolder
from housing_serving.problems import RETRY_LATER, problem
from housing_serving.schemas import About, Alive, Health, Ready
from housing_serving.settings import ServingSettings

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def add_health(app: FastAPI, settings: ServingSettings, holder: ModelHolder, metrics: Metrics) -> None:
    """`/`, `/health*`, `/ping`, `/metrics`."""

    @app.get("/", responses=answered(About))
    async def about() -> Response:
        """Name, version and links."""
        paths = {
            "docs": "/docs",
            "openapi": "/openapi.json",
            "health": "/health",
            "model": "/model",
            "predictions": "/predictions",
            "forecasts": "/forecasts/{zipcode}",
            "history": "/history/{zipcode}",
        }
        links = {name: f"{settings.api_root_path}{path}" for name, path in paths.items()}
        return answer(About(app.title, app.version, app.description, links))

    @app.get("/health/live", responses=answered(Alive))
    async def live() -> Response:
        """200 while the process runs."""
        return answer(Alive())

    @app.get("/health/ready", responses=answered(Ready, 503))
    async def ready() -> Response:
        """200 with the model version; 503 with the reason without one."""
        if holder.leaving:
            return problem("leaving", "the server is leaving", headers=RETRY_LATER)
        if holder.predictor is None:
            return no_model(holder)
        return answer(Ready(holder.predictor.version))

    @app.get("/ping", responses=answered(Ready, 503))
    async def ping() -> Response:
        """Readiness, as SageMaker asks for it."""
        return await ready()

    @app.get("/health", responses=answered(Health))
    async def health() -> Response:
        """Whether predictions can be made, by which model, from how many features."""
        serving = holder.predictor
        status, version = ("healthy", serving.version) if serving else ("unhealthy", None)
        return answer(Health(status, version, len(FEATURES), holder.reason))

    @app.get("/metrics", responses=_TEXT, response_class=Response)
    async def prometheus() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
