"""Months that were predicted before: rows of `monthly_predictions`, from the store."""

import asyncio
from functools import lru_cache
from typing import Annotated

import polars as pl
from fastapi import FastAPI, Query, Response

from housing_assets.core.errors import HousingError
from housing_assets.core.models.publication import MODEL
from housing_assets.core.months import MONTH_PATTERN
from housing_assets.core.panel.schema import ZIP_PATTERN
from housing_assets.store.gates import Gate
from housing_assets.store.layout import Store
from housing_serving.answers import answer, answered, held_back
from housing_serving.problems import RETRY_LATER, problem
from housing_serving.schemas import PredictedMonth, PredictedRow, Preview

_MOST_LISTED = 10_000
_MONTHS_KEPT = 4
"""Predicted months that are held as frames."""
_NONE_YET = "no month is predicted yet: run predictions_job (or `housing run`) first"
_UNREADABLE = "the store cannot be read now: try later"


def add_months(app: FastAPI, store: Store) -> None:
    """`/predictions`, `/latest_predictions`."""
    months = store.months("monthly_predictions")

    # A stamp is of the contents: what was read stays true until there is another one.
    @lru_cache(_MONTHS_KEPT)
    def predictions_of(month: str, _stamp: str) -> pl.DataFrame:
        return months.read(month)

    def read(month: str | None) -> tuple[str, pl.DataFrame] | Response:
        try:
            gate = Gate(store, "GET /predictions", months.asset)
            available = gate.months
            if not available:
                return problem("not_found", _NONE_YET)
            if month and month not in available:
                told = f"there are no predictions for {month}; there are for {available[0]} to {available[-1]}"
                return problem("not_found", told)
            wanted = month or gate.newest() or available[-1]
            return held_back(gate, wanted) or (wanted, predictions_of(wanted, gate.stamps[wanted]))
        except HousingError:
            return problem("no_store", _UNREADABLE, headers=RETRY_LATER)

    @app.get("/predictions", responses=answered(PredictedMonth, 404, 409, 422))
    async def predictions(
        month: Annotated[
            str | None, Query(pattern=MONTH_PATTERN, description="YYYY-MM; none: newest sound one")
        ] = None,
        zipcode: Annotated[str | None, Query(pattern=ZIP_PATTERN)] = None,
        city_full: str | None = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 100,
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    ) -> Response:
        """Rows of `monthly_predictions`; of the newest month that its checks vouch for, if none is given."""

        def listed() -> Response:
            found = read(month)
            if isinstance(found, Response):
                return found
            of_month, frame = found
            for name, wanted in (("zipcode", zipcode), ("city_full", city_full)):
                if wanted is not None:
                    frame = frame.filter(pl.col(name) == wanted)
            return answer(PredictedMonth(of_month, frame.height, offset, _rows(frame.slice(offset, limit))))

        return await asyncio.to_thread(listed)

    @app.get("/latest_predictions", responses=answered(Preview, 404, 409, 422))
    async def latest(limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 5) -> Response:
        """The first rows of the newest month that its checks vouch for."""

        def preview() -> Response:
            found = read(None)
            if isinstance(found, Response):
                return found
            month, frame = found
            return answer(Preview(month, frame.height, _rows(frame.head(limit))))

        return await asyncio.to_thread(preview)


def _rows(frame: pl.DataFrame) -> list[PredictedRow]:
    if "from_history" not in frame.columns:
        frame = frame.with_columns(pl.lit(False).alias("from_history"))  # predicted before there was history
    if "predictor" not in frame.columns:
        frame = frame.with_columns(pl.lit(MODEL).alias("predictor"))  # predicted before baselines were published
    return [PredictedRow(**row) for row in frame.select(PredictedRow.__struct_fields__).iter_rows(named=True)]
