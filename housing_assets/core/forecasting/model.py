"""The growth models of every horizon, refitted as months become known, and their files."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from housing_assets.core import limits
from housing_assets.core.baselines import growth
from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.features import history as history_features
from housing_assets.core.features import series
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.schema import HORIZONS
from housing_assets.core.models import autoregression, combination, ridge
from housing_assets.core.models.combination import GrowthFit
from housing_assets.core.models.refitted import (
    REFIT_MONTHS,
    files_of_fits,
    fit_as_known,
    fits_from_files,
    refit_months,
)
from housing_assets.core.months import TimeSplit, add_months

_FITTING = (limits, history_features, series, growth, ridge, autoregression, combination)
"""The modules that decide what a fit is: once one of them changes, every fit is made again."""


@dataclass(frozen=True)
class ForecastModel:
    """Fits, each of which forecasts the origins from its month until the next one's.

    Attributes:
        fits: by the month before which every training target lies.
        version: of the bundle it came from; empty before it was published.
        made_from: digest of the history that the newest fit was made from, and of the code that fits; empty: not known.
    """

    fits: Mapping[str, GrowthFit]
    version: str = ""
    made_from: str = ""

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
    every: int = REFIT_MONTHS,
    former: ForecastModel | None = None,
) -> ForecastModel:
    """Fit as it would have been done at the time: each year before eval, and from eval on every few months.

    A fit of a former model is taken as it is where nothing that it was made from has changed since.

    Args:
        history: of all zips. A fit sees the months before its own alone.
        split: the time split.
        progress: called with a line of text after each fit.
        every: months between fits from eval on.
        former: fitted before; None: there is none.

    Raises:
        HousingError: the panel has too few months or zips.
    """
    kept = _kept_fits(history, former, refit_months(history, split.eval_start, every))
    fits = fit_as_known(history, HORIZONS, split.eval_start, every, progress, kept)
    if kept:
        progress(f"{len(kept)} fits are those of {former.version if former else ''}: no month before them has changed")
    return ForecastModel(fits, made_from=_digest(history, max(fits)))


def _kept_fits(history: History, former: ForecastModel | None, months: Sequence[str]) -> dict[str, GrowthFit]:
    """The fits of a former model that would be the same again. What one was made from holds what earlier ones were."""
    if former is None or max(former.fits) not in months or former.made_from != _digest(history, max(former.fits)):
        return {}
    return {month: fit for month, fit in former.fits.items() if month in months}


def _digest(history: History, before: str) -> str:
    """Digest of what a fit before a month is made from: the history, and the code."""
    digest = hashlib.sha256(history.fingerprint(min(add_months(before, -1), history.last_month)).encode())
    for module in _FITTING:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def forecast_files(model: ForecastModel, metrics: Mapping[str, object]) -> dict[str, bytes]:
    """The files of a bundle, by name."""
    contents = {
        "fits": list(model.fits),
        "horizons": {month: fit.horizons for month, fit in model.fits.items()},
        "made_from": model.made_from,
    }
    return {"forecast.json": _json(contents), "metrics.json": _json(metrics), **files_of_fits(model.fits)}


def forecast_model_from_files(files: Mapping[str, bytes], version: str) -> ForecastModel:
    """Read a forecast model back, also one of an earlier version. The caller has verified the hashes of `files`.

    Raises:
        BundleError: it is no forecast model, a file is missing, or a golden answer is another one.
    """
    if "forecast.json" not in files:
        raise BundleError(f"model {version} is no forecast model: choose one whose name begins with forecast")
    contents = json.loads(files["forecast.json"])
    fits = fits_from_files(files, contents["fits"], f"model {version}")
    return ForecastModel(fits, version, contents.get("made_from", ""))


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
