"""Pictures of the months of a run: what they are made of, and that they are pictures."""

import numpy as np
import polars as pl
import pytest

from housing_assets.core.features.history import HISTORY_SCHEMA, History, history_table
from housing_assets.core.months import add_months, month_end, month_range
from housing_assets.orchestration import plots
from housing_assets.orchestration.asset_pictures import (
    error_picture,
    nation_picture,
    null_shares,
    quarantine_picture,
    raw_picture,
    reasons_of,
)

PNG = b"\x89PNG\r\n"


def test_nulls_of_the_price_and_of_other_columns_are_apart():
    rows = pl.DataFrame({"price": [1.0, None], "a": [None, None], "b": [1, 2]}, schema_overrides={"a": pl.Float64})
    assert null_shares(rows) == {"price": 50.0, "other columns": 50.0}
    assert null_shares(rows.clear())["price"] == 0


def test_raw_rows_are_drawn_by_month():
    months = {month: (10, {"price": 1.0, "other columns": 5.0}) for month in month_range("2020-01", "2021-06")}
    assert raw_picture(months).startswith(PNG)


def test_reasons_lose_their_values_and_rare_ones_are_one():
    rows = pl.DataFrame({"reason": ["conflict: 2 rows", "conflict: 3 rows", "negative price: -1"]})
    assert reasons_of(rows) == {"conflict": 2, "negative price": 1}
    assert reasons_of(rows.clear()) == {}
    many = {f"2020-{month:02d}": {f"reason {number}": number for number in range(1, 10)} for month in range(1, 13)}
    assert quarantine_picture(many).startswith(PNG)
    assert quarantine_picture({"2020-01": {}, "2020-02": {}}).startswith(PNG)


def test_errors_are_drawn_also_where_some_months_have_none():
    known = {"mape": 1.2, "interval width, % of the price": 4.0}
    assert error_picture([{"month": "2020-01", **known}, {"month": "2020-02"}]).startswith(PNG)


def test_the_nation_s_forecast_goes_on_from_its_known_mean(monkeypatch):
    months = list(month_range("2019-01", "2020-12"))
    frames = [
        pl.DataFrame(
            {"date": [month_end(month)] * 2, "zipcode": ["02139", "10001"], "city_full": ["Boston", "New York"]}
        ).with_columns(price=pl.Series([500_000.0 * 1.01**at, 900_000.0 * 1.01**at]))
        for at, month in enumerate(months)
    ]
    history = History.from_table(pl.concat([_with_signals(frame) for frame in frames]))
    drawn = {}

    def noted(known: dict[str, float], forecast: list[tuple], title: str) -> bytes:
        drawn.update(known=known, forecast=forecast, title=title)
        return PNG

    monkeypatch.setattr(plots, "fan", noted)
    forecasts = pl.DataFrame(
        {
            "origin": ["2020-12"] * 2,
            "date": [month_end(add_months("2020-12", 1))] * 2,
            "zipcode": ["02139", "10001"],
            "predicted_price": [600_000.0, 1_000_000.0],
            "predicted_low": [590_000.0, 980_000.0],
            "predicted_high": [610_000.0, 1_020_000.0],
        },
        schema_overrides={"date": pl.Date},
    )
    nation_picture(forecasts, history)
    known = np.array(list(drawn["known"].values()))
    assert list(drawn["known"]) == months
    assert known[1:] / known[:-1] == pytest.approx(np.full(23, 1.01))
    ((month, price, low, high),) = drawn["forecast"]
    assert month == "2021-01"
    assert 600_000 < low < price < high < 1_020_000


def _with_signals(frame: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None).cast(kind).alias(n) for n, kind in HISTORY_SCHEMA.items() if n not in frame.columns]
    return history_table([frame.with_columns(missing)])


def test_a_fan_is_drawn_with_and_without_an_interval():
    known = {"2020-01": 1.0, "2020-02": 2.0}
    assert plots.fan(known, [("2020-03", 3.0, 2.5, 3.5)], "a").startswith(PNG)
    assert plots.fan(known, [("2020-03", 3.0, None, None)], "a").startswith(PNG)
