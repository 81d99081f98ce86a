"""Is it there, can it predict, and by which model."""

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.promotion import Judged
from housing_assets.core.features.monthly import FEATURES, describe_feature
from housing_assets.core.panel.schema import BY_NAME
from housing_serving.answers import answer, answered, no_model
from housing_serving.middleware import Metrics
from housing_serving.model_holder import ModelHolder
from housing_serving.predictor import Predictor
from housing_serving.problems import RETRY_LATER, problem
from housing_serving.schemas import About, Alive, Feature, Health, KnownHistory, Model, Ready
from housing_serving.settings import ServingSettings

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def add_health(app: FastAPI, settings: ServingSettings, holder: ModelHolder, metrics: Metrics) -> None:
    """`/`, `/health*`, `/ping`, `/metrics`, `/model`."""

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

    @app.get("/model", responses=answered(Model, 503))
    async def model() -> Response:
        """The champion: version, metrics, training months, features with units and ranges."""
        serving = holder.predictor
        if serving is None:
            return no_model(holder)
        manifest = serving.bundle.manifest
        return answer(
            Model(
                version=serving.version,
                kind=manifest["kind"],
                created=manifest["created"],
                months=manifest.get("months", {}),
                rows=manifest.get("rows"),
                parameters=manifest.get("parameters", {}),
                source=manifest.get("source"),
                libraries=manifest["libraries"],
                metrics=serving.bundle.metrics(),
                features=[_feature(name) for name in FEATURES],
                history=_known_history(serving),
                predictor=serving.model.publication.predictor,
                published=asdict(serving.model.publication),
                published_in_words=serving.model.publication.words(),
                judged=_judged(serving),
                provisional=holder.provisional,
            )
        )


def _known_history(serving: Predictor) -> KnownHistory | None:
    if serving.history_prices is None:
        return None
    history = serving.history_prices.history
    return KnownHistory(history.first_month, history.last_month, len(history.zips), serving.model.lag)


def _judged(serving: Predictor) -> dict[str, Any]:
    try:
        return asdict(Judged.from_manifest(serving.bundle.manifest)) | {"max_list_price": serving.max_list_price}
    except HousingError:
        return {}


def _feature(name: str) -> Feature:
    column = BY_NAME.get(name) if name != "year" else None
    unit, low, high = (column.unit, column.low, column.high) if column else (None, None, None)
    return Feature(name, describe_feature(name), unit, low, high)
