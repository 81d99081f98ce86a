"""Intervals of forecasts, from the errors that were known at their origin."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from housing_assets.core.forecasting.grading import published_predictions
from housing_assets.core.forecasting.schema import INTERVAL_SCHEMA, LEAST_OUTCOMES, PUBLISHED
from housing_assets.core.intervals.conformal import COVERAGE, HALF_LIFE, WINDOW, conformal_quantile
from housing_assets.core.months import add_months, month_index, month_range


def forecast_intervals(rows: pl.DataFrame, published: Mapping[int, str], last: str) -> pl.DataFrame:
    """Half widths of the 90% intervals of each origin and horizon, from outcomes that were known at the origin.

    Conformal on the absolute log errors of the published forecasts of the 12 newest origins with an outcome, newer ones
    weighing more, as in `housing_assets.core.intervals`. Symmetric, since a market that turns errs the other way next.
    Errors grow with the horizon at least in proportion: what a shorter horizon has shown already, a longer one whose
    outcomes are still to come is widened by.

    Args:
        rows: what `backtest` gives.
        published: predictor by horizon.
        last: last origin to give intervals for.

    Returns:
        `INTERVAL_SCHEMA` by origin and horizon, whatever the order of `rows` and `published`; an origin without enough
        outcomes is not in it.
    """
    errors = rows.with_columns(published_predictions(published)).select(
        "origin", "horizon", (pl.col(PUBLISHED) - pl.col("growth")).abs().alias("error")
    )
    known = {
        (int(horizon), str(origin)): part["error"].to_numpy()
        for (horizon, origin), part in errors.drop_nulls().group_by("horizon", "origin")
    }
    found = []
    for origin in month_range(min(rows["origin"].min(), last), last):  # type: ignore[type-var]
        widest = 0.0
        for horizon in sorted(published):
            past = sorted(o for h, o in known if h == horizon and add_months(o, horizon) <= origin)[-WINDOW:]
            outcomes = sum(known[horizon, o].size for o in past)
            if outcomes < LEAST_OUTCOMES:
                continue
            values = np.concatenate([known[horizon, o] for o in past])
            ages = np.repeat(
                [month_index(origin) - month_index(o) - horizon for o in past], [known[horizon, o].size for o in past]
            )
            width = conformal_quantile(values, 0.5 ** (ages / HALF_LIFE), COVERAGE)
            if not np.isfinite(width):
                continue  # outcomes so old that together they say too little of the origin
            widest = max(widest, width / horizon)
            found.append((origin, horizon, widest * horizon, outcomes))
    return pl.DataFrame(found, schema=INTERVAL_SCHEMA, orient="row")
