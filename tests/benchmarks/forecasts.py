"""What history is worth: predictions and forecasts beside naive baselines, and the sample beside the real panel."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from figures import Figure, piece

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.forecasting.grading import best_naive
from housing_assets.core.forecasting.schema import PUBLISHED
from housing_assets.store.histories import read_history
from housing_assets.store.layout import Store
from housing_assets.store.pointers import forecast_champion

REAL_LAGS = {1: 0.87, 2: 0.61, 3: 0.33, 6: -0.03, 12: 0.27}
"""Autocorrelation of monthly growth, mean over zips, of 20 zips of the real DC panel."""
REAL_ERRORS = {
    "flat": {1: 0.73, 3: 2.16, 6: 4.04, 12: 7.95},
    "momentum_3": {1: 0.46, 3: 1.81, 6: 4.35, 12: 8.29},
    "damped_momentum": {1: 0.43, 3: 1.63, 6: 3.43, 12: 5.62},
}
"""Mean absolute % errors over 2022 and 2023 of the real indices of 509 metros."""
_RATIOS = {1: 0.6, 3: 0.8, 6: 1.0, 12: 1.0}
_SECONDS_TO_FIT, _MEMORY, _SECONDS_A_MONTH = 180, 4_096, 3


def dynamics(store: Store) -> Iterator[Figure]:
    """How the panel moves, beside how the real one does: without that, the errors below mean nothing."""
    history = read_history(store)
    growth = np.diff(history.log_price, axis=1)
    whole = growth[np.isfinite(growth).all(axis=1)]
    for lag, real in REAL_LAGS.items():
        found = np.mean([np.corrcoef(zip_[:-lag], zip_[lag:])[0, 1] for zip_ in whole])
        yield Figure("dynamics", f"autocorrelation of growth at {lag} months", f"{found:.2f}", f"real DC: {real:.2f}")
    graded = store.read_table("forecast_evaluation").filter(by="overall", split="holdout")
    for name, of_horizon in REAL_ERRORS.items():
        errors = dict(graded.filter(predictor=name).select("horizon", "mape").iter_rows())
        told = ", ".join(f"{errors[h]:.2f}" for h in of_horizon)
        real = ", ".join(f"{error:.2f}" for error in of_horizon.values())
        yield Figure("dynamics", f"error of {name} 1, 3, 6, 12 months ahead, %", told, f"real metros: {real}")


def monthly(store: Store) -> Iterator[Figure]:
    """The champion's monthly predictions beside the naive baselines that know the last price."""
    table = store.read_table("model_evaluation").filter(by="overall")
    for split in ("eval", "holdout"):
        errors = dict(table.filter(split=split).select("predictor", "mape").iter_rows())
        naive = best_naive({name: errors[name] for name in NAIVE_GROWTH})
        ratio = errors["tuned_model"] / errors[naive]
        told = f"{errors['tuned_model']:.3f} / {errors[naive]:.3f} = {ratio:.2f}"
        met = ("at most 0.60", ratio <= 0.6) if split == "holdout" else ("", None)
        yield Figure("history", f"{split}: error of monthly predictions, % / of {naive}", told, *met)


def forecasts(store: Store) -> Iterator[Figure]:
    """What is published beside the baseline that turned out best in these very months, and the intervals."""
    graded = store.read_table("forecast_evaluation").filter(by="overall")
    chosen = forecast_champion(store)[1]
    for split in ("eval", "holdout"):
        for horizon, most in _RATIOS.items():
            of = graded.filter(split=split, horizon=horizon)
            errors = dict(of.select("predictor", "mape").iter_rows())
            naive = best_naive({name: errors[name] for name in NAIVE_GROWTH})
            ratio = errors[PUBLISHED] / errors[naive]
            told = f"{errors[PUBLISHED]:.2f} / {errors[naive]:.2f} {naive} = {ratio:.2f}"
            met = (f"at most {most:.2f}", ratio <= most) if split == "holdout" else ("", None)
            name = f"{split}: {horizon} months ahead, % by {chosen[horizon]} / of the best baseline"
            yield Figure("forecasts", name, told, *met)
    table = store.read_table("forecast_coverage").filter(split="holdout")
    overall = table.select(pl.col("coverage").dot("rows") / pl.col("rows").sum()).item()
    least = table.sort("coverage").row(0, named=True)
    yield Figure("forecasts", "holdout: coverage of 90% intervals", f"{overall:.1f}%", "87 to 93%", 87 <= overall <= 93)
    name = f"holdout: least of a horizon and year, +{least['horizon']} in {least['year']}"
    yield Figure("forecasts", name, f"{least['coverage']:.1f}%", "80%", least["coverage"] >= 80)
    widths = table.group_by("horizon").agg(pl.col("width").mean()).sort("horizon")
    told = ", ".join(f"{width:.1f}" for h, width in widths.iter_rows() if h in _RATIOS)
    yield Figure("forecasts", "holdout: width 1, 3, 6, 12 months ahead, % of the forecast", told)


def cost(store: Store) -> Iterator[Figure]:
    """What fitting the forecast model and a month of forecasts take."""
    rows = store.read_table("price_history", ["zipcode"]).height
    fit, month = piece("forecast_fit", store.uri), piece("forecast_month", store.uri)
    met = fit.seconds <= _SECONDS_TO_FIT and fit.memory <= _MEMORY
    name = f"fitting on {rows:,} rows, the backtest's fits included"
    yield Figure("forecasts", name, f"{fit.seconds:.1f} s", "180 s, 4,096 MiB", met, fit.memory)
    met = month.seconds <= _SECONDS_A_MONTH
    name = "a month's forecasts, every zip and 12 horizons"
    yield Figure("forecasts", name, f"{month.seconds:.2f} s", "3 s", met, month.memory)


def history_figures(store: Store) -> Iterator[Figure]:
    """All of it."""
    for figures in (dynamics, monthly, forecasts, cost):
        yield from figures(store)
