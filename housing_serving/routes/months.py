"""`/predictions` and `/latest_predictions`: rows of `monthly_predictions`, from the store.

What belongs here: calls about whole months. Calls about one zip belong in `places`, predictions of rows that a client
sends in `predictions`.
"""

from typing import Annotated

import polars as pl
from fastapi import FastAPI, Query, Response

from housing_assets.core.models.price import VINTAGE_COLUMNS
from housing_assets.core.models.publication import MODEL
from housing_assets.core.months import MONTH_PATTERN
from housing_assets.core.panel.schema import ZIP_PATTERN
from housing_assets.store.gates import Gate
from housing_assets.store.layout import Store
from housing_serving.answers import answer, answer_from_store, answered, held_back
from housing_serving.decoded_months import DecodedMonths
from housing_serving.problems import problem
from housing_serving.schemas import PredictedMonth, PredictedRow, Preview

_MOST_LISTED = 10_000
_NONE_YET = "no month is predicted yet: run predictions_job (or `housing run`) first"


def add_months(app: FastAPI, store: Store) -> None:
    """`/predictions`, `/latest_predictions`."""
    decoded = DecodedMonths(store.months("monthly_predictions"))

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

        def list_rows() -> Response:
            read = _read_month(store, decoded, month)
            if isinstance(read, Response):
                return read
            of_month, frame = read
            for name, wanted in (("zipcode", zipcode), ("city_full", city_full)):
                if wanted is not None:
                    frame = frame.filter(pl.col(name) == wanted)
            return answer(PredictedMonth(of_month, frame.height, offset, _rows(frame.slice(offset, limit))))

        return await answer_from_store(list_rows)

    @app.get("/latest_predictions", responses=answered(Preview, 404, 409, 422))
    async def latest(limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 5) -> Response:
        """The first rows of the newest month that its checks vouch for."""

        def preview() -> Response:
            read = _read_month(store, decoded, None)
            if isinstance(read, Response):
                return read
            month, frame = read
            return answer(Preview(month, frame.height, _rows(frame.head(limit))))

        return await answer_from_store(preview)


def _read_month(store: Store, decoded: DecodedMonths, month: str | None) -> tuple[str, pl.DataFrame] | Response:
    """A month and its rows, or the answer if it may not be given out.

    Args:
        store: that it is in.
        decoded: that reads it.
        month: None for the newest that its checks vouch for.

    Raises:
        StoreError: the store cannot be read.
    """
    gate = Gate(store, "GET /predictions", decoded.months.asset)
    available = gate.months
    if not available:
        return problem("not_found", _NONE_YET)
    if month and month not in available:
        message = f"there are no predictions for {month}; there are for {available[0]} to {available[-1]}"
        return problem("not_found", message)
    wanted = month or gate.newest() or available[-1]
    return held_back(gate, wanted) or (wanted, decoded.read(wanted, gate.stamps[wanted]))


def _rows(frame: pl.DataFrame) -> list[PredictedRow]:
    if "from_history" not in frame.columns:
        frame = frame.with_columns(pl.lit(False).alias("from_history"))  # predicted before there was history
    if "predictor" not in frame.columns:
        frame = frame.with_columns(pl.lit(MODEL).alias("predictor"))  # predicted before baselines were published
    absent = {name: kind for name, kind in VINTAGE_COLUMNS.items() if name not in frame.columns}
    frame = frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in absent.items())
    return [PredictedRow(**row) for row in frame.select(PredictedRow.__struct_fields__).iter_rows(named=True)]
