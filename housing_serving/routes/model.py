"""`/model`: the champion that serves, what it was made from and how it did.

What belongs here: what the bundle and its history say of themselves. Whether a model serves at all belongs in `health`.
"""

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Response

from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.promotion import Judged
from housing_assets.core.features.monthly import FEATURES, describe_feature
from housing_assets.core.panel.schema import BY_NAME
from housing_serving.answers import answer, answered, no_model, run_in_pool
from housing_serving.model_holder import ModelHolder
from housing_serving.predictor import Predictor
from housing_serving.schemas import Feature, KnownHistory, Model
from housing_serving.sources import PublishedSources


def add_model(app: FastAPI, holder: ModelHolder) -> None:
    """`/model`."""
    sources = PublishedSources(holder.store)

    @app.get("/model", responses=answered(Model, 503))
    async def model() -> Response:
        """The champion: version, metrics, training months, features with units and ranges."""
        serving = holder.predictor
        if serving is None:
            return no_model(holder)
        manifest = serving.bundle.manifest
        published_sources = await run_in_pool(sources.read)
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
                sources=published_sources,
            )
        )


def _known_history(serving: Predictor) -> KnownHistory | None:
    if serving.history_prices is None:
        return None
    history = serving.history_prices.history
    return KnownHistory(
        history.first_month, history.last_month, len(history.zips), serving.model.lag, serving.model.fitted_before
    )


def _judged(serving: Predictor) -> dict[str, Any]:
    try:
        return asdict(Judged.from_manifest(serving.bundle.manifest)) | {"max_list_price": serving.max_list_price}
    except HousingError:
        return {}


def _feature(name: str) -> Feature:
    column = BY_NAME.get(name) if name != "year" else None
    unit, low, high = (column.unit, column.low, column.high) if column else (None, None, None)
    return Feature(name, describe_feature(name), unit, low, high)
