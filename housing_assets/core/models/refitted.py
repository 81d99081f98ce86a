"""A combination of forecasters that is fitted again as months become known.

Every origin is forecast by the newest fit before it, with the weights that were known there. So a backtest walks the
very way that is published, and no origin sees a month after itself. `monthly_predictions` and `monthly_forecasts` are
both made by such fits: the one looks a publication lag ahead, the other 1 to 12 months.

What belongs here: when to fit, what is known at an origin, and the files of a price model's fits. What one fit is
belongs in `combination`.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import polars as pl

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features.history import History, HistoryAtOrigin
from housing_assets.core.models.combination import (
    LEAST_FORECAST_MONTHS,
    Combination,
    Examples,
    GrowthFit,
    fit_files,
    fit_from_files,
    fit_growth,
    learn_weights,
)
from housing_assets.core.months import add_months, month_index, month_range
from housing_assets.core.prefetch import prefetch_map

REFIT_MONTHS = 3
"""Months between fits. On half of the real metro indices, refitting each quarter erred 1% less than each year."""
YEARS_BEFORE = 8
"""Years before eval that are walked, to learn weights and interval widths from: a fit a year."""
WEIGHT_SCHEMA: dict[str, pl.DataType] = {
    "origin": pl.String(),
    "horizon": pl.Int64(),
    "predictor": pl.String(),
    "weight": pl.Float64(),
}
"""Columns of weights: what each forecaster counts in the combined forecast. They add up to 1."""

_THREADS = 2
"""Horizons of an origin that are forecast at a time: arithmetic on arrays, which leaves Python to the other thread."""
_LIST, _WEIGHTS = "growth_fits.json", "growth_weights.parquet"


def refit_months(history: History, eval_start: str, every: int = REFIT_MONTHS) -> list[str]:
    """Months before which the fits of a walk are made: a year apart before eval, `every` months apart from then on.

    The last one is at most a month after the history, so that a month that is not there yet is forecast by a fit on
    all that there is.
    """
    return [*yearly_before(history, eval_start), *months_from_eval(eval_start, history.last_month, every)]


def months_from_eval(eval_start: str, last_known: str, every: int = REFIT_MONTHS) -> list[str]:
    """The months of `refit_months` from eval on, for a history that ends with `last_known`."""
    months = [eval_start]
    while (following := add_months(months[-1], every)) <= add_months(last_known, 1):
        months.append(following)
    return months


def yearly_before(history: History, month: str) -> list[str]:
    """Months a year apart before a month, for which the history is long enough, at most `YEARS_BEFORE` of them."""
    earliest = add_months(history.first_month, LEAST_FORECAST_MONTHS)
    months = [add_months(month, -12 * years) for years in range(1, YEARS_BEFORE + 1)]
    return sorted(m for m in months if m >= earliest)


def fit_as_known(
    history: History,
    horizons: Sequence[int],
    eval_start: str,
    every: int = REFIT_MONTHS,
    progress: Callable[[str], None] = lambda _: None,
    kept: Mapping[str, GrowthFit] | None = None,
) -> dict[str, GrowthFit]:
    """Fit as it would have been done at the time, by the month before which every training target lies.

    Args:
        history: of all zips. A fit sees the months before its own alone.
        horizons: months ahead.
        eval_start: first month of eval.
        every: months between fits from eval on.
        progress: called with a line of text after each fit.
        kept: fits that would be the same again, by their months.

    Raises:
        HousingError: the panel has too few months or zips before eval.
    """
    fits: dict[str, GrowthFit] = {}
    examples, kept = Examples(history), kept or {}
    for month in refit_months(history, eval_start, every):
        if month in kept:
            fits[month] = kept[month]
            continue
        try:
            fits[month] = fit_growth(history, horizons, month, examples)
        except HousingError as error:
            if month < eval_start:
                continue  # earlier fits only let weights and intervals begin earlier
            least = LEAST_FORECAST_MONTHS + min(horizons) - 1
            raise HousingError(
                f"forecasts need {least} months before HOUSING_EVAL_START={eval_start}, the panel begins with "
                f"{history.first_month}: set HOUSING_EVAL_START later, or give it a longer panel ({error})"
            ) from error
        progress(f"fitted on targets before {month}: horizons {fits[month].horizons[0]} to {fits[month].horizons[-1]}")
    return fits


@dataclass
class Losses:
    """Mean absolute log errors of the members, by origin and horizon, as outcomes become known."""

    members: tuple[str, ...]
    by_horizon: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)

    def add(self, at: HistoryAtOrigin, horizon: int, growth: np.ndarray, outcome: np.ndarray) -> None:
        """Keep the losses of a forecast, if its outcome is in the history.

        Args:
            at: the history at the origin.
            horizon: months ahead.
            growth: log growth that was forecast, shape (members, zips).
            outcome: log growth that followed, shape (zips,), NaN where it is not known.
        """
        has_outcome = np.isfinite(outcome) & at.known
        if has_outcome.any():
            losses = np.abs(growth[:, has_outcome] - outcome[has_outcome]).mean(axis=1)
            self.by_horizon.setdefault(horizon, {})[at.origin] = losses

    def weights(self, origin: str, horizon: int) -> np.ndarray:
        """Weights of the members from the outcomes that were known at an origin."""
        losses = self.by_horizon.get(horizon, {})
        known = [past for past in losses if add_months(past, horizon) <= origin]
        ages = np.array([month_index(origin) - month_index(past) - horizon for past in known])
        table = np.array([losses[past] for past in known]).reshape(len(known), len(self.members))
        return learn_weights(table, ages, horizon)


def walked_weights(
    history: History,
    fits: Mapping[str, GrowthFit],
    horizons: Sequence[int],
    last: str,
) -> Iterator[tuple[str, int, str, float]]:
    """What each forecaster counts at every origin from the first fit on, by the outcomes that were known there.

    Args:
        history: of all zips.
        fits: by the month before which they were fitted.
        horizons: months ahead.
        last: the last origin.

    Yields:
        Rows of `WEIGHT_SCHEMA`, origin by origin, and of each the horizons in their order.
    """
    members = tuple(next(iter(fits.values())).members)
    losses = Losses(members)
    origins = prefetch_map(history.prepared_at, month_range(min(fits), last), "origin")
    with ThreadPoolExecutor(_THREADS) as threads:
        for at in origins:
            origin = at.origin
            fit = fits[max(month for month in fits if month <= origin)]
            growths = threads.map(partial(fit.growth, at), horizons)
            outcomes = threads.map(partial(history.outcome, origin), horizons)
            for horizon, growth, outcome in zip(horizons, growths, outcomes, strict=True):
                weights = losses.weights(origin, horizon)
                losses.add(at, horizon, growth, outcome)
                yield from ((origin, horizon, n, float(w)) for n, w in zip(members, weights, strict=True))


@dataclass(frozen=True)
class RefittedCombination:
    """Fits and weights, each used from its month on: a `housing_assets.core.baselines.forecaster.Forecaster`.

    Attributes:
        fits: by the month before which every training target lies.
        weights: `WEIGHT_SCHEMA`. An origin after the last one has the weights of that one.
        name, label, words: see the protocol.
    """

    fits: Mapping[str, GrowthFit]
    weights: pl.DataFrame
    name: str = field(default="forecast_model", init=False)
    label: str = field(default="the model", init=False)
    words: str = field(default="several forecasters, each by how well it did lately", init=False)

    @property
    def horizons(self) -> tuple[int, ...]:
        """Months ahead that it forecasts, in order."""
        return tuple(next(iter(self._weights.values())))

    @property
    def fitted_before(self) -> str:
        """The month before which every target of the newest fit lies."""
        return max(self.fits)

    def at(self, origin: str) -> Combination:
        """What is combined at an origin: the newest fit before it, and the weights that were known there.

        An origin before the first fit is one of the months that this fit learned from. It has that fit and equal
        weights.
        """
        fit = self.fits[max((month for month in self.fits if month <= origin), default=min(self.fits))]
        known = [month for month in self._weights if month <= origin]
        equal = dict.fromkeys(fit.members, 1 / len(fit.members))
        return Combination(fit, self._weights[max(known)] if known else dict.fromkeys(self.horizons, equal))

    def log_growth(self, at: HistoryAtOrigin, horizon: int) -> np.ndarray:
        """See the protocol."""
        return self.at(at.origin).log_growth(at, horizon)

    def contributions(self, at: HistoryAtOrigin, horizon: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See the protocol."""
        return self.at(at.origin).contributions(at, horizon, rows)

    @cached_property
    def _weights(self) -> dict[str, dict[int, dict[str, float]]]:
        """Weights by origin, horizon and forecaster."""
        by_origin: dict[str, dict[int, dict[str, float]]] = {}
        for origin, horizon, name, weight in self.weights.select(*WEIGHT_SCHEMA).iter_rows():
            by_origin.setdefault(origin, {}).setdefault(horizon, {})[name] = weight
        return by_origin


def fit_refitted(
    history: History,
    horizons: Sequence[int],
    eval_start: str,
    every: int = REFIT_MONTHS,
    progress: Callable[[str], None] = lambda _: None,
) -> RefittedCombination:
    """Fit as it would have been done at the time, and learn what each forecaster counted at each origin.

    Arguments and errors are those of `fit_as_known`.
    """
    fits = fit_as_known(history, horizons, eval_start, every, progress)
    weighted = walked_weights(history, fits, horizons, history.last_month)
    return RefittedCombination(fits, pl.DataFrame(list(weighted), schema=WEIGHT_SCHEMA, orient="row"))


def refitted_files(model: RefittedCombination) -> dict[str, bytes]:
    """The files of fits and weights, by name: readable tables, and the list of the fits."""
    weights = io.BytesIO()
    model.weights.write_parquet(weights)
    files = {_LIST: (json.dumps(list(model.fits), indent=2) + "\n").encode(), _WEIGHTS: weights.getvalue()}
    return files | files_of_fits(model.fits)


def files_of_fits(fits: Mapping[str, GrowthFit]) -> dict[str, bytes]:
    """The files of several fits, by name, which has the month of the fit."""
    return {name: data for month, fit in fits.items() for name, data in fit_files(fit, f"-{month}").items()}


def fits_from_files(files: Mapping[str, bytes], months: Iterable[str], owner: str) -> dict[str, GrowthFit]:
    """Read several fits back, also those of an earlier bundle.

    Args:
        files: of the bundle, by name.
        months: of the fits.
        owner: what they belong to, for messages.

    Raises:
        BundleError: a file is missing, or was made with other features than this code makes.
    """
    fits: dict[str, GrowthFit] = {}
    for month in months:
        fit = fit_from_files(files, f"-{month}")
        if fit is None:
            raise BundleError(f"{owner} lacks the fit of {month}: publish it again")
        fits[month] = fit
    return fits


def refitted_from_files(files: Mapping[str, bytes]) -> RefittedCombination | None:
    """Read fits and weights back; None where there are none. The caller has verified the hashes of `files`.

    Raises:
        BundleError: a file is missing, or was made with other features than this code makes.
    """
    if _LIST not in files:
        return None
    if _WEIGHTS not in files:
        raise BundleError(f"the growth model lacks '{_WEIGHTS}': publish it again")
    fits = fits_from_files(files, json.loads(files[_LIST]), "the growth model")
    return RefittedCombination(fits, pl.read_parquet(io.BytesIO(files[_WEIGHTS])))
