"""Forecasts: the model, its grades, and months of forecasts from each origin."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from housing_assets.config.settings import Settings
from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.catalogue import CLEANED, FORECAST_EVALUATION, FORECAST_MODEL, MONTHLY_FORECASTS, PRICE_HISTORY
from housing_assets.core.errors import BundleError, HousingError, StoreError
from housing_assets.core.evaluation.promotion import MARGIN, Decision, ForecastEvidence, decide_forecast
from housing_assets.core.features.history import HISTORY_FEATURES, History
from housing_assets.core.forecasting.grades import ForecastGrades, eval_error, grade_forecasts
from housing_assets.core.forecasting.grading import FIRST_PUBLISHED
from housing_assets.core.forecasting.model import (
    ForecastModel,
    fit_forecast_model,
    forecast_files,
    forecast_model_from_files,
)
from housing_assets.core.forecasting.publishing import forecast
from housing_assets.core.forecasting.schema import (
    FORECAST_DESCRIPTIONS,
    FORECAST_SCHEMA,
    HORIZONS,
    PUBLISHED,
)
from housing_assets.core.forecasting.unpredicted import reasons, unpredicted
from housing_assets.core.models.refitted import WEIGHT_SCHEMA
from housing_assets.core.models.ridge import RidgeGrowth
from housing_assets.core.months import Split, TimeSplit, add_months
from housing_assets.ingestion.source import source_fingerprint
from housing_assets.orchestration.asset_pictures import nation_picture
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.forecast_pictures import forecast_pictures
from housing_assets.orchestration.histories import open_sound_history
from housing_assets.orchestration.metadata import column_schema, picture, table
from housing_assets.orchestration.partitions import monthly
from housing_assets.orchestration.resources.io_manager import AS_HISTORY, AS_JSON, MonthlyFrames
from housing_assets.orchestration.resources.tracking import Tracker, git_commit
from housing_assets.store.bundles import load_bundle, publish_bundle
from housing_assets.store.first_prices import FirstOutcomes, raw_vintage
from housing_assets.store.forecasts import publish_forecasts, read_forecast_record, replaced_by_hand
from housing_assets.store.gates import problems, require
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, champion_version, forecast_champion, record_decision


class ForecastConfig(dg.Config):
    """How a forecast model is judged."""

    margin: float = Field(
        MARGIN,
        ge=0,
        lt=1,
        description="Share of the champion's eval error to be better by, or for a refit: at most worse by",
    )
    override: str = Field("", description="Promote in spite of failed tests, for this reason; it is recorded")


_MOST_LISTED = 200
"""Zips not forecast that the metadata of a run list, those of its newest months."""


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`forecast_model`, `forecast_evaluation` and `monthly_forecasts`."""
    return [_forecast_model(settings), _forecast_evaluation(settings), _monthly_forecasts(settings)]


def _before_holdout(settings: Settings) -> list[str]:
    return [*settings.split_months(Split.TRAIN), *settings.split_months(Split.EVAL)]


def _forecast_model(settings: Settings) -> dg.AssetsDefinition:
    split, every = settings.split, settings.refit_months

    @described_asset(
        FORECAST_MODEL,
        settings,
        required_resource_keys={"store", "mlflow"},
        ins={PRICE_HISTORY: AS_HISTORY},
        description=f"Growth of a zip's price {HORIZONS[0]} to {HORIZONS[-1]} months ahead by its history: a ridge "
        f"regression and autoregressions, refitted every {every} months on what was known by then, as they would have "
        "been at the time. The asset is a reference to its bundle under `models/`.",
    )
    def forecast_model(context: dg.AssetExecutionContext, price_history: History) -> dict:
        store: Store = context.resources.store
        tracker: Tracker = context.resources.mlflow
        require(store, FORECAST_MODEL)
        model = fit_forecast_model(price_history, split, context.log.info, every, _former(store))
        # Of what the fits learned from alone: months after them make no other version.
        learned = min(add_months(max(model.fits), -1), price_history.last_month)
        facts = {
            "months": {"history": [price_history.first_month, learned]},
            "fits": {month: list(fit.horizons) for month, fit in model.fits.items()},
            "zips": price_history.zips_until(learned),
            "source": settings.source_label,
        }
        origin = {
            "git_commit": git_commit(),
            "source_fingerprint": source_fingerprint(context.instance),
            "dagster_run": context.run_id,
            **tracker.origin(),
        }
        files = forecast_files(model, {})
        version = publish_bundle(store, "forecast", files, facts, origin)
        tracker.tags({FORECAST_MODEL: version})
        tracker.files(files, "forecast_model/bundle")
        context.add_output_metadata(
            {
                "version": version,
                "fits": table(_horizons_of_fits(model)),
                "what the ridge one month ahead weighs most": table(_heaviest_weights(model)),
                **tracker.metadata(),
            }
        )
        return {"version": version}

    return forecast_model


def _forecast_evaluation(settings: Settings) -> dg.AssetsDefinition:
    before_holdout, split = _before_holdout(settings), settings.split

    @described_asset(
        FORECAST_EVALUATION,
        settings,
        ins={FORECAST_MODEL: AS_JSON, PRICE_HISTORY: AS_HISTORY},
        required_resource_keys={"store", "mlflow"},
        description="Errors of forecasts of eval and holdout months, with every training target before the origin, "
        "beside flat, momentum and metro growth: by horizon, year, metro and price decile, and against prices as first "
        "published. Learns what each forecaster counts at each origin, and decides whether the model is the one that "
        "forecasts.",
    )
    def forecast_evaluation(
        context: dg.AssetExecutionContext, config: ForecastConfig, price_history: History, forecast_model: dict
    ) -> pl.DataFrame:
        store: Store = context.resources.store
        tracker: Tracker = context.resources.mlflow
        # Problems of `cleaned` are reasons for the decision below, not for a stop.
        require(store, FORECAST_EVALUATION, {CLEANED: []})
        candidate = _load(store, forecast_model["version"])
        first, former = FirstOutcomes(store, price_history), read_forecast_record(store)
        grades = grade_forecasts(price_history, candidate, split, first, former)
        for problem in first.damaged:
            context.log.warning(f"some first prices are not known: {problem}")
        checks = problems(store, FORECAST_EVALUATION, {CLEANED: before_holdout})
        if replaced := replaced_by_hand(store, candidate.version):
            checks["housing promote"] = replaced
        champion, champion_problem = _champion_beside(store, price_history, grades, split)
        evidence = ForecastEvidence(
            candidate=candidate.version,
            candidate_error=_mean_error(grades.graded),
            champion=champion.version if champion else None,
            champion_error=champion.error if champion and champion.version != candidate.version else None,
            champion_problem=champion_problem,
            is_later=champion is not None and max(candidate.fits) > champion.fitted_before,
            by_model=_horizons_won(grades.graded),
            checks=checks,
            margin=config.margin,
            override=config.override,
            judged=settings.judged,
        )
        decision = decide_forecast(evidence)
        context.log.info(f"{candidate.version} is {decision.outcome}: {decision.reason}")
        if decision.outcome == "refused":
            if champion is None or champion.version == candidate.version:
                raise dg.Failure(
                    f"{candidate.version} is not promoted: {decision.reason}. Mend that and run forecast_job again, or "
                    "promote it by hand: run config `override` of forecast_evaluation, with a reason",
                    allow_retries=False,
                )
            grades = grade_forecasts(price_history, champion.model, split, first, former)
        publish_forecasts(store, grades)
        runs = {"dagster_run": context.run_id, **tracker.origin()}
        where = record_decision(store, candidate.version, decision.record(evidence) | runs)
        pictures = forecast_pictures(grades)
        tracker.metrics(_errors_on_eval(grades.graded), "forecast.eval_mape_")
        tracker.tags({"forecast_decision": decision.outcome, "forecast_decision_reason": decision.reason})
        tracker.files({f"{name.replace(' ', '_')}.png": png for name, png in pictures.items()}, FORECAST_EVALUATION)
        context.add_output_metadata(
            {
                "decision record": where,
                **_decision_metadata(decision),
                **_grades_metadata(grades),
                **{name: picture(png) for name, png in pictures.items()},
                **tracker.metadata(),
            }
        )
        return grades.graded

    return forecast_evaluation


def _monthly_forecasts(settings: Settings) -> dg.AssetsDefinition:
    @described_asset(
        MONTHLY_FORECASTS,
        settings,
        deps=[FORECAST_EVALUATION, PRICE_HISTORY],
        metadata=column_schema(FORECAST_SCHEMA, FORECAST_DESCRIPTIONS),
        description="The month is the origin: price of every zip 1 to 12 months after it in US dollars, with a 90% "
        "interval, by several forecasters weighted by how they did lately.",
    )
    def monthly_forecasts(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> MonthlyFrames:
        require(store, MONTHLY_FORECASTS)
        months = list(context.partition_keys)
        history, made_from = open_sound_history(store)
        outside = [month for month in months if not history.first_month <= month <= history.last_month]
        if outside:
            raise StoreError(
                f"no forecasts from {outside[0]}: the history is {history.first_month} to {history.last_month}. Ingest "
                "the months and materialize price_history first"
            )
        version, published = forecast_champion(store)
        model = _load(store, version)
        weights = _weights(store, version)
        widths = store.read_table("forecast_intervals").filter(pl.col("model_version") == version)
        missing = sorted(set(months) - set(widths["origin"]))
        if missing:
            raise StoreError(
                f"forecast_intervals has no {missing[0]} of {version}: materialize forecast_evaluation first"
            )
        by_month: list[dict[str, Any]] = []
        left_out: list[pl.DataFrame] = []
        newest: dict[str, bytes] = {}

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            for month in months:
                forecasts = forecast(history, month, model, published, widths, weights, raw_vintage(store, month))
                change = forecasts["predicted_price"] / forecasts["last_known_price"] - 1
                facts = {
                    f"median change over {h} months, %": 100 * float(change.filter(forecasts["horizon"] == h).median())  # type: ignore[arg-type]
                    for h in (HORIZONS[0], HORIZONS[-1])
                }
                left_out.append(unpredicted(history, month).with_columns(pl.lit(month).alias("origin")))
                facts["zips not forecast"] = left_out[-1].height
                by_month.append({"origin": month, "rows": forecasts.height, **facts})
                if month == months[-1] and forecasts.height:
                    newest["fan of the nation"] = nation_picture(forecasts, history)
                yield month, forecasts, {"model version": version, **facts}

        def run_metadata() -> dict[str, Any]:
            listed = pl.concat(left_out)
            return {
                "this run": table(pl.DataFrame(by_month)),
                "zips not forecast, by reason": reasons(listed),
                "zips not forecast": table(listed.tail(_MOST_LISTED)),
                **{name: picture(png) for name, png in newest.items()},
            }

        return monthly(context, frames(), run_metadata, made_from)

    return monthly_forecasts


def _weights(store: Store, version: str) -> pl.DataFrame:
    """The weights of a version; none where an earlier version of the platform graded it."""
    try:
        return store.read_table("forecast_weights").filter(pl.col("model_version") == version)
    except StoreError:
        return pl.DataFrame(schema=WEIGHT_SCHEMA)


def _load(store: Store, version: str) -> ForecastModel:
    return forecast_model_from_files(load_bundle(store, version).files, version)


def _former(store: Store) -> ForecastModel | None:
    """The model that the asset has now; None where there is none that can be read."""
    try:
        return _load(store, store.read_json(f"{FORECAST_MODEL}.json")["version"])
    except (FileNotFoundError, KeyError, TypeError, BundleError):
        return None


@dataclass(frozen=True)
class _Champion:
    """The model that forecasts now, backtested on the history at hand.

    Attributes:
        version: of its bundle.
        model: read from its bundle.
        error: see `_mean_error`.
        fitted_before: month of its newest fit.
    """

    version: str
    model: ForecastModel
    error: float
    fitted_before: str


def _champion_beside(
    store: Store, history: History, candidate: ForecastGrades, split: TimeSplit
) -> tuple[_Champion | None, str | None]:
    """The champion, graded unless it is the candidate itself.

    Returns:
        None and None before the first champion, None and the reason where it cannot be read.
    """
    try:
        version = champion_version(store, FORECAST_POINTER)
        if version is None:
            return None, None
        champion = _load(store, version)
    except BundleError as error:
        return None, f"the forecast champion cannot be read ({error}): roll back with `housing promote VERSION`"
    if version == candidate.version:
        return _Champion(version, champion, _mean_error(candidate.graded), max(champion.fits)), None
    return _Champion(version, champion, eval_error(history, champion, split), max(champion.fits)), None


def _decision_metadata(decision: Decision) -> dict[str, Any]:
    tests = [{"test": name, "passed": passed, "figures": figures} for name, passed, figures in decision.tests]
    return {"outcome": decision.outcome, "reason": decision.reason, "tests": table(pl.DataFrame(tests))}


def _grades_metadata(grades: ForecastGrades) -> dict[str, Any]:
    errors = _by_horizon(grades.graded, "overall")
    published = {"horizon": list(grades.published), "predictor": list(grades.published.values())}
    return {
        "forecasts by": grades.version,
        "published": table(pl.DataFrame(published)),
        "mean absolute error, %": table(errors),
        "against first published prices, mean absolute error, %": table(_by_horizon(grades.graded, FIRST_PUBLISHED)),
        "skill, % of the baseline's error saved": table(grades.skill),
        "coverage of 90% intervals": table(grades.coverage),
        "weights at the newest origin": table(_newest_weights(grades.weights)),
    }


def _by_horizon(graded: pl.DataFrame, by: str) -> pl.DataFrame:
    """`split`, `horizon` and the mean absolute % error of each predictor."""
    rows = graded.filter(pl.col("by") == by)
    return rows.pivot(on="predictor", index=["split", "horizon"], values="mape", sort_columns=True)


def _newest_weights(weights: pl.DataFrame) -> pl.DataFrame:
    """`horizon` and the weight of each forecaster, of the newest origin."""
    newest = weights.filter(pl.col("origin") == pl.col("origin").max())
    return newest.pivot(on="predictor", index="horizon", values="weight")


def _errors_on_eval(graded: pl.DataFrame) -> dict[str, float]:
    """Mean absolute % error of what is published on eval, by the name of the horizon."""
    published = graded.filter(by="overall", split=Split.EVAL, predictor=PUBLISHED)
    return {f"horizon_{horizon}": mape for horizon, mape in published.select("horizon", "mape").iter_rows()}


def _horizons_won(graded: pl.DataFrame) -> int:
    """Horizons of eval at which no naive forecaster turned out better than what is published."""
    overall = graded.filter((pl.col("by") == "overall") & (pl.col("split") == Split.EVAL))
    best = overall.filter(pl.col("predictor").is_in(NAIVE_GROWTH)).group_by("horizon").agg(pl.col("mape").min())
    published = overall.filter(pl.col("predictor") == PUBLISHED).select("horizon", pl.col("mape").alias("published"))
    return published.join(best, on="horizon").filter(pl.col("published") <= pl.col("mape")).height


def _horizons_of_fits(model: ForecastModel) -> pl.DataFrame:
    rows = [(month, f"{fit.horizons[0]} to {fit.horizons[-1]}") for month, fit in model.fits.items()]
    return pl.DataFrame(rows, schema=["targets before", "horizons"], orient="row")


def _mean_error(graded: pl.DataFrame) -> float:
    """Mean absolute % error of what is published on eval, as the geometric mean over horizons.

    Raises:
        HousingError: no forecast of eval has an outcome.
    """
    published = graded.filter(
        (pl.col("by") == "overall") & (pl.col("split") == Split.EVAL) & (pl.col("predictor") == PUBLISHED)
    )
    if published.is_empty():
        raise HousingError("no forecast of eval has an outcome: ingest the months of eval first")
    return float(np.exp(np.log(published["mape"].to_numpy()).mean()))


def _heaviest_weights(model: ForecastModel) -> pl.DataFrame:
    ridges = model.newest.fitted["ridge"]
    assert isinstance(ridges, RidgeGrowth)
    ridge = ridges.ridges[ridges.horizons[0]]
    weights = pl.DataFrame({"feature": HISTORY_FEATURES, "log growth for one deviation": ridge.weights})
    return weights.sort(pl.col("log growth for one deviation").abs(), descending=True).head(15)
