"""`/forecasts/{zipcode}` and `/history/{zipcode}`: one zip, from the store.

What belongs here: calls about one zip that need no model. Calls about whole months belong in `months`.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import polars as pl
from fastapi import FastAPI, Path, Query, Response

from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.features.history import history_needed
from housing_assets.core.forecasting.schema import HORIZONS, MODEL, PREDICTOR_LABELS
from housing_assets.core.months import MONTH_PATTERN, describe_months, month_end, month_of
from housing_assets.core.panel.schema import ZIP_PATTERN
from housing_assets.store.gates import Gate
from housing_assets.store.histories import ASSET, KEY
from housing_assets.store.layout import Store
from housing_assets.store.parquet import decode_parquet
from housing_serving.answers import answer, answer_from_store, answered, held_back
from housing_serving.bodies import JSON
from housing_serving.decoded_months import DecodedMonths
from housing_serving.problems import problem
from housing_serving.rows import FieldError
from housing_serving.schemas import FORECASTS_EXAMPLE, PAST_EXAMPLE, Forecast, Forecasts, PastMonth, PastMonths

_NO_FORECASTS = "no month is forecast yet: run forecast_job (or `housing run`) first"
_NO_HISTORY = "there is no history yet: run predictions_job (or `housing run`) first"

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


class _Places:
    """What the two calls read of the store, and what they answer with."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forecasts = DecodedMonths(store.months("monthly_forecasts"))
        # A stamp is of the contents: what was read stays true until there is another one.
        self._panel_of = lru_cache(1)(lambda _stamp: _Panel.read(store))

    def _panel(self) -> _Panel | Response | None:
        """The history that its checks vouch for, the answer while they do not, or None if there is none."""
        gate = Gate(self._store, "GET /history", ASSET)
        if "" not in gate.stamps:
            return None
        return held_back(gate) or self._panel_of(gate.stamps[""])

    def forecasts(self, zipcode: str, origin: str | None, horizon: int | None) -> Response:
        """The answer of `/forecasts/{zipcode}`."""
        gate = Gate(self._store, "GET /forecasts", self._forecasts.months.asset)
        origins = gate.months
        if not origins:
            return problem("not_found", _NO_FORECASTS)
        if origin and origin not in origins:
            message = f"there are no forecasts from {origin}; there are from {describe_months(origins)}"
            return problem("not_found", message)
        origin = origin or gate.newest() or origins[-1]
        if refusal := held_back(gate, origin):
            return refusal
        rows = self._forecasts.read(origin, gate.stamps[origin]).filter(pl.col("zipcode") == zipcode)
        if rows.is_empty():
            panel = self._panel()
            return problem("not_found", _why_none(zipcode, origin, panel if isinstance(panel, _Panel) else None))
        of_horizon = rows if horizon is None else rows.filter(pl.col("horizon") == horizon)
        if of_horizon.is_empty():
            horizons = ", ".join(map(str, rows["horizon"].sort()))
            return problem("not_found", f"from {origin} there is no horizon {horizon}; there are {horizons}")
        return answer(_forecasts(of_horizon))

    def history(self, zipcode: str, first: str | None, last: str | None) -> Response:
        """The answer of `/history/{zipcode}`."""
        panel = self._panel()
        if panel is None:
            return problem("not_found", _NO_HISTORY)
        if isinstance(panel, Response):
            return panel
        rows = panel.months(zipcode)
        if rows.is_empty():
            return problem("not_found", _unknown(zipcode, panel.zips))
        begin, end = month_of(rows["date"][0]), month_of(rows["date"][-1])
        month = pl.col("date").dt.strftime("%Y-%m")
        selected = rows.filter(month.is_between(pl.lit(first or begin), pl.lit(last or end)))
        if selected.is_empty():
            bounds = " ".join(f"{which} {month}" for which, month in (("from", first), ("to", last)) if month)
            return problem("not_found", f"{zipcode} has no month {bounds}; its history is {begin} to {end}")
        return answer(PastMonths(zipcode, selected["city_full"][-1], _past(selected)))


def add_places(app: FastAPI, store: Store) -> None:
    """`/forecasts/{zipcode}`, `/history/{zipcode}`."""
    places = _Places(store)

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
        return await answer_from_store(lambda: places.forecasts(zipcode, origin, horizon))

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
            message = f"from={first} is after to={last}: swap them"
            return problem("not_valid", message, [FieldError(-1, "from", message)])
        return await answer_from_store(lambda: places.history(zipcode, first, last))


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
    priced_months = describe_months([month_of(day) for day in priced["date"]])
    return (
        f"{zipcode} has no forecasts from {origin}: its history is too short or has gaps there. Prices up to then: "
        f"{priced_months}; needed are {history_needed(origin)}"
    )


def _forecasts(rows: pl.DataFrame) -> Forecasts:
    forecasts = [
        Forecast(
            month=month_of(row["date"]),
            date=row["date"],
            horizon=row["horizon"],
            predicted_price=row["predicted_price"],
            predicted_low=row["predicted_low"],
            predicted_high=row["predicted_high"],
            predictor=row["predictor"],
            explanation=_explanation(row["predictor"], row["horizon"], row.get("mostly")),
            mostly=row.get("mostly"),
        )
        for row in rows.sort("horizon").iter_rows(named=True)
    ]
    first = rows.row(0, named=True)
    later = {name: first.get(name) for name in ("vintage", "fitted_before")}  # earlier versions have neither
    names = [name for name in Forecasts.__struct_fields__ if name in first and name not in later]
    return Forecasts(forecasts=forecasts, **later, **{name: first[name] for name in names})


def _explanation(predictor: str, horizon: int, mostly: str | None) -> str:
    """The predictor of a forecast and why it is this one, in words."""
    ahead = f"{horizon} month{'s' * (horizon > 1)} ahead"
    if predictor == MODEL:
        of = f", mostly {PREDICTOR_LABELS.get(mostly, mostly)}" if mostly else ""
        return f"The model's, several forecasters by how well each did lately {ahead}{of}"
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
