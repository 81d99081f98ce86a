"""The growth models of every horizon, refitted as months become known, and their files."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.schema import HORIZONS
from housing_assets.core.models.combination import (
    LEAST_FORECAST_MONTHS,
    REFIT_MONTHS,
    Examples,
    GrowthFit,
    fit_files,
    fit_from_files,
    fit_growth,
    yearly_before,
)
from housing_assets.core.months import TimeSplit, add_months


@dataclass(frozen=True)
class ForecastModel:
    """Fits, each of which forecasts the origins from its month until the next one's.

    Attributes:
        fits: by the month before which every training target lies.
        version: of the bundle it came from; empty before it was published.
    """

    fits: Mapping[str, GrowthFit]
    version: str = ""

    @property
    def newest(self) -> GrowthFit:
        """The fit that forecasts from now on."""
        return self.fits[max(self.fits)]

    def at(self, origin: str) -> GrowthFit:
        """The newest fit before an origin.

        Raises:
            HousingError: there is none.
        """
        return self.fits[self.fitted_before(origin)]

    def fitted_before(self, origin: str) -> str:
        """The month of the newest fit that forecasts an origin.

        Raises:
            HousingError: there is none.
        """
        before = [month for month in self.fits if month <= origin]
        if not before:
            raise HousingError(f"no fit lies before {origin}: the first is {min(self.fits)}. Choose a later origin")
        return max(before)


def fit_forecast_model(
    history: History,
    split: TimeSplit,
    progress: Callable[[str], None] = lambda _: None,
    refit_months: int = REFIT_MONTHS,
) -> ForecastModel:
    """Fit as it would have been done at the time: each year before eval, and from eval on every few months.

    Args:
        history: of all zips. A fit sees the months before its own alone.
        split: the time split.
        progress: called with a line of text after each fit.
        refit_months: months between fits from eval on.

    Raises:
        HousingError: the panel has too few months or zips.
    """
    fits: dict[str, GrowthFit] = {}
    examples = Examples(history)
    for month in backtest_fits(history, split, refit_months):
        try:
            fits[month] = fit_growth(history, HORIZONS, month, examples)
        except HousingError as error:
            if month < split.eval_start:
                continue  # earlier fits only let weights and intervals begin earlier
            raise HousingError(
                f"forecasts need {LEAST_FORECAST_MONTHS} months before HOUSING_EVAL_START={split.eval_start}, the "
                f"panel begins with {history.first_month}: set HOUSING_EVAL_START later, or give it a longer panel"
            ) from error
        progress(f"fitted on targets before {month}: horizons {fits[month].horizons[0]} to {fits[month].horizons[-1]}")
    return ForecastModel(fits)


def backtest_fits(history: History, split: TimeSplit, refit_months: int = REFIT_MONTHS) -> list[str]:
    """Months before which the fits of a walk are made: a year apart before eval, `refit_months` apart from then on.

    The last one is at most a month after the history, so that a month that is not there yet is forecast by a fit on
    all that there is.
    """
    months = [split.eval_start]
    while (following := add_months(months[-1], refit_months)) <= add_months(history.last_month, 1):
        months.append(following)
    return [*yearly_before(history, split.eval_start), *months]


def forecast_files(model: ForecastModel, metrics: Mapping[str, object]) -> dict[str, bytes]:
    """The files of a bundle, by name."""
    contents = {"fits": list(model.fits), "horizons": {month: fit.horizons for month, fit in model.fits.items()}}
    files = {"forecast.json": _json(contents), "metrics.json": _json(metrics)}
    for month, fit in model.fits.items():
        files |= fit_files(fit, f"-{month}")
    return files


def forecast_model_from_files(files: Mapping[str, bytes], version: str) -> ForecastModel:
    """Read a forecast model back, also one of an earlier version. The caller has verified the hashes of `files`.

    Raises:
        BundleError: it is no forecast model, a file is missing, or a golden answer is another one.
    """
    if "forecast.json" not in files:
        raise BundleError(f"model {version} is no forecast model: choose one whose name begins with forecast")
    fits: dict[str, GrowthFit] = {}
    for month in json.loads(files["forecast.json"])["fits"]:
        fit = fit_from_files(files, f"-{month}")
        if fit is None:
            raise BundleError(f"model {version} lacks the fit of {month}: publish it again")
        fits[month] = fit
    return ForecastModel(fits, version)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
