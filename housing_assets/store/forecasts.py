"""What is published of a forecast model: its tables, what the checks say of its grades, and the pointer to it, last."""

import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.forecast_grades import ForecastGrades
from housing_assets.core.quality import measure_forecast_evaluation
from housing_assets.core.rules import Severity, broken_rules
from housing_assets.store.bundles import FORECAST_POINTER, champion_version, point_forecasts_to
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import Problem, State, UnsoundError, Verdict, data_stamps, write_verdicts

_ASSET, _WIDTHS = "forecast_evaluation", "forecast_intervals"


def problems_of_grades(grades: ForecastGrades) -> tuple[Problem, ...]:
    """What the checks of `forecast_evaluation` have against grades, the errors and the warnings."""
    found = broken_rules(_ASSET, measure_forecast_evaluation(grades.graded))
    return tuple(Problem(rule.name, str(rule.severity), m.column, m.told) for rule, m in found)


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
        (_WIDTHS, _with_widths_before(store, grades)),
        ("forecast_skill", grades.skill),
        ("forecast_coverage", grades.coverage),
        (_ASSET, grades.graded),
    ):
        store.write_table(name, frame)
    state = State.WARN if problems else State.GREEN
    stamp = data_stamps(store, _ASSET)[""]
    write_verdicts(store, [Verdict(_ASSET, "", state, stamp, grades.graded.height, problems=problems)])
    point_forecasts_to(store, grades.version, grades.published)


def _with_widths_before(store: Store, grades: ForecastGrades) -> pl.DataFrame:
    """The interval widths of these grades, and those of the version that forecasts until the pointer moves."""
    try:
        before = champion_version(store, FORECAST_POINTER)
        if before in (None, grades.version):
            return grades.intervals
        kept = store.read_table(_WIDTHS, grades.intervals.columns).filter(pl.col("model_version") == before)
        return pl.concat([grades.intervals, kept])
    except (HousingError, pl.exceptions.PolarsError):
        return grades.intervals  # a pointer or widths that cannot be read forecast nothing
