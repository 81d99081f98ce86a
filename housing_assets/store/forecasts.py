"""What is published of a forecast model: its tables, what the checks say of its grades, and the pointer to it, last."""

import polars as pl

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.forecasting.grades import ForecastGrades, grade_forecasts
from housing_assets.core.forecasting.model import forecast_model_from_files
from housing_assets.core.forecasting.record import ForecastRecord
from housing_assets.core.months import TimeSplit
from housing_assets.core.quality.forecasts import measure_forecast_evaluation, measure_forecast_model
from housing_assets.core.quality.rules import Severity, broken_rules
from housing_assets.store.bundles import load_bundle
from housing_assets.store.first_prices import FirstOutcomes
from housing_assets.store.histories import read_sound_history
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, champion_version, point_forecasts_to
from housing_assets.store.verdicts import Problem, State, UnsoundError, Verdict, data_stamps, write_verdicts

BY_HAND = "by hand: "
"""What the reason of a decision begins with that a person took."""
_ASSET, _WIDTHS, _WEIGHTS = "forecast_evaluation", "forecast_intervals", "forecast_weights"
_RECORD = "forecast_record.zip"


def problems_of_grades(grades: ForecastGrades) -> tuple[Problem, ...]:
    """What the checks of `forecast_evaluation` have against grades, the errors and the warnings."""
    broken = broken_rules(_ASSET, measure_forecast_evaluation(grades.graded))
    return tuple(Problem(rule.name, str(rule.severity), m.column, m.told) for rule, m in broken)


def publish_forecasts(store: Store, grades: ForecastGrades) -> None:
    """Make a graded version the one that forecasts.

    Its own checks come first, and the pointer comes last. Until then the version before it forecasts on, whose interval
    widths are kept for as long.

    Raises:
        UnsoundError: the checks of `forecast_evaluation` have an error to tell; nothing is changed.
        BundleError: the version is missing or damaged; the pointer stays as it was.
    """
    problems = problems_of_grades(grades)
    if hard := next((p for p in problems if p.severity == Severity.ERROR), None):
        raise UnsoundError(
            f"forecast_evaluation of {grades.version} is red ({hard.rule}: {hard.column}: {hard.told}): the forecasts "
            "stay as they are. Mend that and materialize forecast_evaluation again"
        )
    for name, frame in (
        (_WIDTHS, _with_former(store, _WIDTHS, grades.intervals, grades.version)),
        (_WEIGHTS, _with_former(store, _WEIGHTS, grades.weights, grades.version)),
        ("forecast_skill", grades.skill),
        ("forecast_coverage", grades.coverage),
        (_ASSET, grades.graded),
    ):
        store.write_table(name, frame)
    if grades.record.is_complete:
        store.blobs.write(_RECORD, grades.record.to_bytes())
    state = State.WARN if problems else State.GREEN
    stamp = data_stamps(store, _ASSET)[""]
    write_verdicts(store, [Verdict(_ASSET, "", state, stamp, grades.graded.height, problems=problems)])
    point_forecasts_to(store, grades.version, grades.published)


def read_forecast_record(store: Store) -> ForecastRecord | None:
    """What the grades of the version that forecasts are made of; None where there is none that can be read."""
    try:
        return ForecastRecord.from_bytes(store.blobs.read(_RECORD))
    except FileNotFoundError:
        return None


def _with_former(store: Store, name: str, table: pl.DataFrame, version: str) -> pl.DataFrame:
    """A table of a version, and the rows of the version that forecasts until the pointer moves."""
    try:
        before = champion_version(store, FORECAST_POINTER)
        if before in (None, version):
            return table
        kept = store.read_table(name).filter(pl.col("model_version") == before)
        return pl.concat([table, kept], how="diagonal")
    except (HousingError, pl.exceptions.PolarsError):
        return table  # a pointer or a table that cannot be read forecasts nothing


def is_forecast_version(version: str) -> bool:
    """Is it a version of a forecast model, by its name?"""
    return version.rpartition("-")[0] == "forecast"


def publish_forecasts_of(store: Store, version: str, split: TimeSplit) -> None:
    """Make any complete forecast model the one that forecasts: verified, and graded on the history as it is now.

    Args:
        store: where it is.
        version: of the model.
        split: its eval and holdout are graded.

    Raises:
        BundleError: the version is missing or damaged, or was fitted on later months than there are.
        UnsoundError: the checks of the history or of the grades do not vouch for it; nothing is changed.
    """
    model = forecast_model_from_files(load_bundle(store, version).files, version)
    history = read_sound_history(store)
    for rule, m in broken_rules("forecast_model", measure_forecast_model(model.fits, history.last_month, None)):
        raise BundleError(
            f"{version} cannot forecast ({rule.name}: {m.told}): {rule.remedy}, or choose another version"
        )
    first = FirstOutcomes(store, history)
    publish_forecasts(store, grade_forecasts(history, model, split, first, read_forecast_record(store)))


def replaced_by_hand(store: Store, version: str) -> str:
    """Why a version is not to forecast again by itself: a person had another one take its place; empty if none had."""
    keys = [k for k in store.blobs.keys("models/forecast-") if "/decisions/" in k]
    for key in sorted(keys, key=lambda k: k.rpartition("/")[2], reverse=True):
        decision = store.read_json(key)
        if decision.get("outcome") == "promoted":
            if decision.get("candidate") == version:
                return ""
            by_hand = str(decision.get("reason", "")).startswith(BY_HAND)
            if by_hand and decision.get("evidence", {}).get("champion") == version:
                return f"{version} was replaced {decision['reason']}; `housing promote {version}` brings it back"
    return ""
