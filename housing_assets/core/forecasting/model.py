"""The growth models of every horizon, and their files."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.record import BACKTEST_FILE, RecordedForecasts
from housing_assets.core.forecasting.schema import HORIZONS, LEAST_FORECAST_MONTHS
from housing_assets.core.models.growth import (
    GrowthModel,
    fit_growth,
    growth_files,
    growth_from_files,
)
from housing_assets.core.months import TimeSplit, add_months


@dataclass(frozen=True)
class ForecastModel:
    """The growth models of a backtest, the newest of which is the one that forecasts from now on.

    Attributes:
        fits: by the month before which every training target lies.
        version: of the bundle it came from; empty before it was published.
        record: its forecasts from past origins; None where they have not been recorded.
    """

    fits: Mapping[str, GrowthModel]
    version: str = ""
    record: RecordedForecasts | None = None

    @property
    def newest(self) -> GrowthModel:
        """The model that is published."""
        return self.fits[max(self.fits)]

    def at(self, origin: str) -> GrowthModel:
        """The newest model that was fitted before an origin."""
        return self.fits[max(month for month in self.fits if month <= origin)]


def fit_forecast_model(
    history: History, split: TimeSplit, progress: Callable[[str], None] = lambda _: None
) -> ForecastModel:
    """Fit a model for each year of eval, a year before it included, and the one that is published.

    Args:
        history: months from the holdout start on are not used.
        split: the time split.
        progress: called with a line of text after each fit.

    Raises:
        HousingError: the panel has too few months or zips.
    """
    fits: dict[str, GrowthModel] = {}
    for month in backtest_fits(split):
        try:
            fits[month] = fit_growth(history, HORIZONS, month)
        except HousingError as error:
            if month < split.eval_start:
                continue  # the year before eval only lets intervals begin earlier
            raise HousingError(
                f"forecasts need {LEAST_FORECAST_MONTHS} months before HOUSING_EVAL_START={split.eval_start}, the "
                f"panel begins with {history.first_month}: set HOUSING_EVAL_START later, or give it a longer panel"
            ) from error
        progress(f"fitted on targets before {month}: horizons {fits[month].horizons[0]} to {fits[month].horizons[-1]}")
    return ForecastModel(fits)


def backtest_fits(split: TimeSplit) -> list[str]:
    """Months before which the models of a backtest are fitted: a year before eval, each of its years, the holdout."""
    months = {split.eval_start, add_months(split.eval_start, -12)}
    month = split.holdout_start
    while month > split.eval_start:
        months.add(month)
        month = add_months(month, -12)
    return sorted(months)


def forecast_files(model: ForecastModel, metrics: Mapping[str, object]) -> dict[str, bytes]:
    """The files of a bundle, by name."""
    contents = {"fits": list(model.fits), "horizons": {month: fit.horizons for month, fit in model.fits.items()}}
    files = {"forecast.json": _json(contents), "metrics.json": _json(metrics)}
    if model.record is not None:
        files[BACKTEST_FILE] = model.record.to_file()
    for month, fit in model.fits.items():
        files |= growth_files(fit, f"-{month}")
    return files


def forecast_model_from_files(files: Mapping[str, bytes], version: str) -> ForecastModel:
    """Read a forecast model back. The caller has verified the hashes of `files`.

    Raises:
        BundleError: it is no forecast model, a file is missing, or a golden answer is another one.
    """
    if "forecast.json" not in files:
        raise BundleError(f"model {version} is no forecast model: choose one whose name begins with forecast")
    fits: dict[str, GrowthModel] = {}
    for month in json.loads(files["forecast.json"])["fits"]:
        fit = growth_from_files(files, f"-{month}")
        if fit is None:
            raise BundleError(f"model {version} lacks the trees of {month}: publish it again")
        fits[month] = fit
    record = RecordedForecasts.from_file(files[BACKTEST_FILE]) if BACKTEST_FILE in files else None
    return ForecastModel(fits, version, record)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
