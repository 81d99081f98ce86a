"""One zip: its known past, and forecasts of the months ahead, from the store."""

import asyncio
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import polars as pl
from fastapi import FastAPI, Path, Query, Response

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import history_needed
from housing_assets.core.forecasting.schema import HORIZONS, MODEL
from housing_assets.core.months import MONTH_PATTERN, describe_months, month_end, month_of
from housing_assets.core.panel.schema import ZIP_PATTERN
from housing_assets.store.gates import Gate
from housing_assets.store.histories import ASSET, KEY
from housing_assets.store.layout import Store
from housing_assets.store.parquet import decode_parquet
from housing_serving.answers import answer, answered, held_back
from housing_serving.bodies import JSON
from housing_serving.problems import RETRY_LATER, problem
from housing_serving.rows import FieldError
from housing_serving.schemas import FORECASTS_EXAMPLE, PAST_EXAMPLE, Forecast, Forecasts, PastMonth, PastMonths

log = logging.getLogger("housing_serving")

_ORIGINS_KEPT = 4
"""Months of forecasts that are held as frames."""
_NO_FORECASTS = "no month is forecast yet: run forecast_job (or `housing run`) first"
_NO_HISTORY = "there is no history yet: run predictions_job (or `housing run`) first"
_UNREADABLE = "the store cannot be read now: try later"

_Zip = Annotated[str, Path(pattern=ZIP_PATTERN, description="ZIP code, 5 digits", examples=["02139"])]


@dataclass(frozen=True)
class _Panel:
    """`price_history` as it is on file: a tenth of the frame it holds, and one zip of it is read in milliseconds."""

    data: bytes
    zips: int

    @classmethod
    def read(cls, store: Store) -> "_Panel":
        """Read the file.

        Raises:
            StoreError: it cannot be read, or is damaged.
        """
        data = store.blobs.read(KEY)
        return cls(data, decode_parquet(data, KEY, ["zipcode"])["zipcode"].n_unique())

    def months(self, zipcode: str) -> pl.DataFrame:
        """The rows of one zip, by month; none: it is not known."""
        return pl.scan_parquet(io.BytesIO(self.data)).filter(pl.col("zipcode") == zipcode).sort("date").collect()


def add_places(app: FastAPI, store: Store) -> None:
    """`/forecasts/{zipcode}`, `/history/{zipcode}`."""
    months = store.months("monthly_forecasts")

    # A stamp is of the contents: what was read stays true until there is another one.
    @lru_cache(_ORIGINS_KEPT)
    def forecasts_of(origin: str, _stamp: str) -> pl.DataFrame:
        return months.read(origin)

    @lru_cache(1)
    def panel_of(_stamp: str) -> _Panel:
        return _Panel.read(store)

    def panel() -> _Panel | Response | None:
        """The history that its checks vouch for; what is answered while they do not; None if there is none."""
        gate = Gate(store, "GET /history", ASSET)
        if "" not in gate.stamps:
            return None
        return held_back(gate) or panel_of(gate.stamps[""])

    def forecast(zipcode: str, origin: str | None, horizon: int | None) -> Response:
        gate = Gate(store, "GET /forecasts", months.asset)
        origins = gate.months
        if not origins:
            return problem("not_found", _NO_FORECASTS)
        if origin and origin not in origins:
            told = f"there are no forecasts from {origin}; there are from {describe_months(origins)}"
            return problem("not_found", told)
        origin = origin or gate.newest() or origins[-1]
        if told := held_back(gate, origin):
            return told
        rows = forecasts_of(origin, gate.stamps[origin]).filter(pl.col("zipcode") == zipcode)
        if rows.is_empty():
            known = panel()
            return problem("not_found", _why_none(zipcode, origin, known if isinstance(known, _Panel) else None))
        of_horizon = rows if horizon is None else rows.filter(pl.col("horizon") == horizon)
        if of_horizon.is_empty():
            there = ", ".join(map(str, rows["horizon"].sort()))
            return problem("not_found", f"from {origin} there is no horizon {horizon}; there are {there}")
        return answer(_forecasts(of_horizon))

    def history(zipcode: str, first: str | None, last: str | None) -> Response:
        known = panel()
        if known is None:
            return problem("not_found", _NO_HISTORY)
        if isinstance(known, Response):
            return known
        rows = known.months(zipcode)
        if rows.is_empty():
            return problem("not_found", _unknown(zipcode, known.zips))
        begin, end = month_of(rows["date"][0]), month_of(rows["date"][-1])
        month = pl.col("date").dt.strftime("%Y-%m")
        asked = rows.filter(month.is_between(pl.lit(first or begin), pl.lit(last or end)))
        if asked.is_empty():
            bounds = " ".join(f"{which} {month}" for which, month in (("from", first), ("to", last)) if month)
            return problem("not_found", f"{zipcode} has no month {bounds}; its history is {begin} to {end}")
        return answer(PastMonths(zipcode, asked["city_full"][-1], _past(asked)))

    @app.get("/forecasts/{zipcode}", responses=_with_example(answered(Forecasts, 404, 409, 422), FORECASTS_EXAMPLE))
    async def forecasts(
        zipcode: _Zip,
        origin: Annotated[
            str | None, Query(pattern=MONTH_PATTERN, description="Last month used, YYYY-MM; none: the newest sound one")
        ] = None,
        horizon: Annotated[
            int | None, Query(ge=HORIZONS[0], le=HORIZONS[-1], description="Months ahead; none: all")
        ] = None,
    ) -> Response:
        """Forecasts of a zip with 90% intervals, and whose each is: the model's, or that of the naive baseline that the
        model did not beat on eval."""
        return await _read(lambda: forecast(zipcode, origin, horizon))

    @app.get("/history/{zipcode}", responses=_with_example(answered(PastMonths, 404, 409, 422), PAST_EXAMPLE))
    async def past(
        zipcode: _Zip,
        first: Annotated[
            str | None, Query(alias="from", pattern=MONTH_PATTERN, description="First month, YYYY-MM; none: all")
        ] = None,
        last: Annotated[
            str | None, Query(alias="to", pattern=MONTH_PATTERN, description="Last month, YYYY-MM; none: all")
        ] = None,
    ) -> Response:
        """The known months of a zip: price and market figures, what later months are predicted from."""
        if first and last and first > last:
            told = f"from={first} is after to={last}: swap them"
            return problem("not_valid", told, [FieldError(-1, "from", told)])
        return await _read(lambda: history(zipcode, first, last))


async def _read(work: Callable[[], Response]) -> Response:
    """The answer of work that reads the store, off the event loop."""
    try:
        return await asyncio.to_thread(work)
    except (HousingError, FileNotFoundError, pl.exceptions.PolarsError) as error:
        log.warning("the store cannot be read: %s", error)
        return problem("no_store", _UNREADABLE, headers=RETRY_LATER)


def _with_example(
    responses: dict[int | str, dict[str, Any]], example: dict[str, Any]
) -> dict[int | str, dict[str, Any]]:
    responses[200]["content"][JSON]["example"] = example
    return responses


def _unknown(zipcode: str, zips: int) -> str:
    return f"{zipcode} is not known: the history has {zips:,} zips"


def _why_none(zipcode: str, origin: str, panel: _Panel | None) -> str:
    """Why a zip has no forecasts from an origin, in words."""
    if panel is None:
        return f"{zipcode} has no forecasts from {origin}"
    rows = panel.months(zipcode)
    if rows.is_empty():
        return _unknown(zipcode, panel.zips)
    priced = rows.drop_nulls("price").filter(pl.col("date") <= month_end(origin))
    known = describe_months([month_of(day) for day in priced["date"]])
    return (
        f"{zipcode} has no forecasts from {origin}: its history is too short or has gaps there. Prices up to then: "
        f"{known}; needed are {history_needed(origin)}"
    )


def _forecasts(rows: pl.DataFrame) -> Forecasts:
    told = [
        Forecast(
            month=month_of(row["date"]),
            date=row["date"],
            horizon=row["horizon"],
            predicted_price=row["predicted_price"],
            predicted_low=row["predicted_low"],
            predicted_high=row["predicted_high"],
            predictor=row["predictor"],
            explanation=_who(row["predictor"], row["horizon"]),
        )
        for row in rows.sort("horizon").iter_rows(named=True)
    ]
    first = rows.row(0, named=True)
    shared = {name: first[name] for name in Forecasts.__struct_fields__ if name in first}
    return Forecasts(forecasts=told, **shared)


def _who(predictor: str, horizon: int) -> str:
    """Whose forecast it is, in words."""
    ahead = f"{horizon} month{'s' * (horizon > 1)} ahead"
    if predictor == MODEL:
        return f"The model's: on eval it beat every naive baseline {ahead}"
    named = predictor.replace("_", " ")
    naive = NAIVE_FORECASTERS.get(predictor)
    words = naive.words if naive else "see forecast_evaluation"
    return f"The naive baseline {named} ({words}): on eval the model was not shown to beat it {ahead}"


def _past(rows: pl.DataFrame) -> list[PastMonth]:
    figures = [name for name in PastMonth.__struct_fields__ if name in rows.columns]
    return [
        PastMonth(month=month_of(row["date"]), **{name: row[name] for name in figures})
        for row in rows.fill_nan(None).iter_rows(named=True)
    ]
