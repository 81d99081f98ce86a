"""Forecasts: the model, its grades, and months of forecasts from each origin."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from housing_assets.config.settings import Settings
from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.catalogue import CLEANED, FORECAST_EVALUATION, FORECAST_MODEL, MONTHLY_FORECASTS, PRICE_HISTORY
from housing_assets.core.errors import BundleError, HousingError, StoreError
from housing_assets.core.evaluation.promotion import MARGIN, ForecastEvidence, decide_forecast
from housing_assets.core.features.history import HISTORY_FEATURES, HISTORY_SCHEMA, History, history_table
from housing_assets.core.forecasting.backtest import backtest
from housing_assets.core.forecasting.grades import grade_forecasts
from housing_assets.core.forecasting.grading import choose_published, grade
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
    MODEL,
    PREDICTORS,
    PUBLISHED,
)
from housing_assets.core.months import Split
from housing_assets.ingestion.source import source_fingerprint
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import column_schema, picture, table
from housing_assets.orchestration.partitions import monthly
from housing_assets.orchestration.plots import bars, lines_by_month
from housing_assets.orchestration.resources.io_manager import AS_JSON, MonthlyFrames, MonthReader
from housing_assets.orchestration.resources.tracking import Tracker, git_commit
from housing_assets.store.bundles import load_bundle, publish_bundle
from housing_assets.store.forecasts import publish_forecasts, replaced_by_hand
from housing_assets.store.gates import problems, require
from housing_assets.store.histories import open_sound_history
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, champion_version, forecast_champion, record_decision


class ForecastConfig(dg.Config):
    """How a forecast model is judged."""

    margin: float = Field(MARGIN, ge=0, lt=1, description="Share of the champion's eval error to be better by")
    override: str = Field("", description="Promote in spite of failed tests, for this reason; it is recorded")


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`forecast_model`, `forecast_evaluation` and `monthly_forecasts`."""
    return [_forecast_model(settings), _forecast_evaluation(settings), _monthly_forecasts(settings)]


def _before_holdout(settings: Settings) -> list[str]:
    return [*settings.split_months(Split.TRAIN), *settings.split_months(Split.EVAL)]


def _forecast_model(settings: Settings) -> dg.AssetsDefinition:
    before_holdout = _before_holdout(settings)
    split = settings.split

    @described_asset(
        FORECAST_MODEL,
        settings,
        required_resource_keys={"store", "mlflow"},
        ins={CLEANED: dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(before_holdout))},
        description=f"Growth of a zip's price {HORIZONS[0]} to {HORIZONS[-1]} months ahead by its history: ridges and "
        "small trees, fitted on targets before the holdout start, and for the backtest on those before each year of "
        "eval. The asset is a reference to its bundle under `models/`.",
    )
    def forecast_model(context: dg.AssetExecutionContext, cleaned: MonthReader) -> dict:
        store: Store = context.resources.store
        tracker: Tracker = context.resources.mlflow
        cleaned.months.require(before_holdout)
        require(store, FORECAST_MODEL, {CLEANED: before_holdout})
        history = History.from_table(history_table(frame for _, frame in cleaned.iterate(list(HISTORY_SCHEMA))))
        model = fit_forecast_model(history, split, context.log.info)
        rows = backtest(history, model)
        published = choose_published(rows, split)
        overall = grade(history, rows, split, published).filter(pl.col("by") == "overall")
        figures = overall.filter(pl.col("predictor") == PUBLISHED).select("horizon", "mape", "mdape", "bias").to_dicts()
        facts = {
            "months": {"train": [before_holdout[0], before_holdout[-1]]},
            "fits": {month: list(fit.horizons) for month, fit in model.fits.items()},
            "zips": len(history.zips),
            "source": settings.source_label,
        }
        origin = {
            "git_commit": git_commit(),
            "source_fingerprint": source_fingerprint(context.instance),
            "dagster_run": context.run_id,
        }
        version = publish_bundle(store, "forecast", forecast_files(model, {"eval": figures}), facts, origin)
        weights = _heaviest_weights(model)
        tracker.tags({FORECAST_MODEL: version})
        tracker.metrics({f"horizon_{row['horizon']}": row["mape"] for row in figures}, "forecast.eval_mape_")
        tracker.files(load_bundle(store, version).files, "forecast_model/bundle")
        context.add_output_metadata(
            {
                "version": version,
                "fits": table(
                    pl.DataFrame(
                        [
                            {"targets before": month, "horizons": f"{fit.horizons[0]} to {fit.horizons[-1]}"}
                            for month, fit in model.fits.items()
                        ]
                    )
                ),
                "error on eval, %": table(pl.DataFrame(figures)),
                "what the ridge one month ahead weighs most": table(weights),
                **tracker.metadata(),
            }
        )
        return {"version": version}

    return forecast_model


def _forecast_evaluation(settings: Settings) -> dg.AssetsDefinition:
    before_holdout = _before_holdout(settings)
    split = settings.split

    @described_asset(
        FORECAST_EVALUATION,
        settings,
        ins={FORECAST_MODEL: AS_JSON},
        required_resource_keys={"store", "mlflow"},
        description="Errors of forecasts of eval and holdout months, with every training target before the origin, "
        "beside flat, momentum and metro growth: by horizon, year, metro and price decile. Decides on eval what is "
        "published for each horizon, and whether the model is the one that forecasts.",
    )
    def forecast_evaluation(
        context: dg.AssetExecutionContext, config: ForecastConfig, price_history: pl.DataFrame, forecast_model: dict
    ) -> pl.DataFrame:
        store: Store = context.resources.store
        tracker: Tracker = context.resources.mlflow
        require(store, FORECAST_EVALUATION, {CLEANED: []})  # what cleaned has against it is promotion's to weigh
        history = History.from_table(price_history)
        candidate = _load(store, forecast_model["version"])
        grades = grade_forecasts(history, candidate, split)
        checks = problems(store, FORECAST_EVALUATION, {CLEANED: before_holdout})
        if by_hand := replaced_by_hand(store, candidate.version):
            checks["housing promote"] = by_hand
        champion, problem = _champion(store)
        champion_error = None
        if champion is not None and champion.version != candidate.version:
            other = backtest(history, champion)
            before = grade(history, other, split, choose_published(other, split))
            champion_error = _mean_error(before)
        decision = decide_forecast(
            evidence := ForecastEvidence(
                candidate=candidate.version,
                candidate_error=_mean_error(grades.graded),
                champion=champion.version if champion else None,
                champion_error=champion_error,
                champion_problem=problem,
                by_model=sum(name == MODEL for name in grades.published.values()),
                checks=checks,
                margin=config.margin,
                override=config.override,
            )
        )
        context.log.info(f"{candidate.version} is {decision.outcome}: {decision.reason}")
        if decision.outcome == "refused" and champion is None:
            raise dg.Failure(
                f"{candidate.version} is not promoted: {decision.reason}. Mend that and run forecast_job again, or "
                "promote it by hand: run config `override` of forecast_evaluation, with a reason",
                allow_retries=False,
            )
        if decision.outcome == "refused" and champion is not None:
            grades = grade_forecasts(history, champion, split)
        publish_forecasts(store, grades)
        where = record_decision(store, candidate.version, decision.record(evidence) | {"dagster_run": context.run_id})
        pictures = _pictures(grades.graded, grades.skill, grades.coverage)
        tracker.tags({"forecast_decision": decision.outcome, "forecast_decision_reason": decision.reason})
        tracker.files({f"{name.replace(' ', '_')}.png": png for name, png in pictures.items()}, FORECAST_EVALUATION)
        overall = grades.graded.filter(pl.col("by") == "overall")
        published = grades.published
        tests = [{"test": name, "passed": passed, "figures": told} for name, passed, told in decision.tests]
        context.add_output_metadata(
            {
                "forecasts by": grades.version,
                "outcome": decision.outcome,
                "reason": decision.reason,
                "tests": table(pl.DataFrame(tests)),
                "decision record": where,
                "published": table(pl.DataFrame({"horizon": list(published), "predictor": list(published.values())})),
                "mean absolute error, %": table(
                    overall.pivot(on="predictor", index=["split", "horizon"], values="mape", sort_columns=True)
                ),
                "skill, % of the baseline's error saved": table(grades.skill),
                "coverage of 90% intervals": table(grades.coverage),
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
        "interval, by the model or by the naive baseline that was better on eval.",
    )
    def monthly_forecasts(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> MonthlyFrames:
        require(store, MONTHLY_FORECASTS)
        months = list(context.partition_keys)
        history, made_from = open_sound_history(store)
        late = [month for month in months if not history.first_month <= month <= history.last_month]
        if late:
            raise StoreError(
                f"no forecasts from {late[0]}: the history is {history.first_month} to {history.last_month}. Ingest "
                "the months and materialize price_history first"
            )
        version, published = forecast_champion(store)
        model = _load(store, version)
        widths = store.read_table("forecast_intervals").filter(pl.col("model_version") == version)
        lacking = sorted(set(months) - set(widths["origin"]))
        if lacking:
            raise StoreError(
                f"forecast_intervals has no {lacking[0]} of {version}: materialize forecast_evaluation first"
            )
        by_month: list[dict[str, Any]] = []

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            for month in months:
                made = forecast(history, month, model, published, widths)
                change = made["predicted_price"] / made["last_known_price"] - 1
                facts = {
                    f"median change over {h} months, %": 100 * float(change.filter(made["horizon"] == h).median())  # type: ignore[arg-type]
                    for h in (HORIZONS[0], HORIZONS[-1])
                }
                by_month.append({"origin": month, "rows": made.height, **facts})
                yield month, made, {"model version": version, **facts}

        return monthly(context, frames(), lambda: {"this run": table(pl.DataFrame(by_month))}, made_from)

    return monthly_forecasts


def _load(store: Store, version: str) -> ForecastModel:
    return forecast_model_from_files(load_bundle(store, version).files, version)


def _champion(store: Store) -> tuple[ForecastModel | None, str | None]:
    """The model that forecasts now; or None, and what is wrong with it if there is one."""
    try:
        version = champion_version(store, FORECAST_POINTER)
        return (None if version is None else _load(store, version)), None
    except BundleError as error:
        return None, f"the forecast champion cannot be read ({error}): roll back with `housing promote VERSION`"


def _mean_error(graded: pl.DataFrame) -> float:
    """Geometric mean over horizons of what is published: mean absolute % error on eval."""
    held = graded.filter(
        (pl.col("by") == "overall") & (pl.col("split") == Split.EVAL) & (pl.col("predictor") == PUBLISHED)
    )
    if held.is_empty():
        raise HousingError("no forecast of eval has an outcome: ingest the months of eval first")
    return float(np.exp(np.log(held["mape"].to_numpy()).mean()))


def _heaviest_weights(model: ForecastModel) -> pl.DataFrame:
    ridge = model.newest.ridges[model.newest.horizons[0]]
    named = pl.DataFrame({"feature": HISTORY_FEATURES, "log growth for one deviation": ridge.weights})
    return named.sort(pl.col("log growth for one deviation").abs(), descending=True).head(15)


def _pictures(graded: pl.DataFrame, skill: pl.DataFrame, covered: pl.DataFrame) -> dict[str, bytes]:
    pictures = {}
    for split in graded["split"].unique(maintain_order=True):
        overall = graded.filter((pl.col("by") == "overall") & (pl.col("split") == split))
        horizons = overall["horizon"].unique().sort().to_list()
        series = {}
        for predictor in PREDICTORS:
            of = dict(overall.filter(pl.col("predictor") == predictor).select("horizon", "mape").iter_rows())
            series[predictor] = [of.get(h) for h in horizons]
        pictures[f"error by horizon, {split}"] = lines_by_month(
            [f"+{h}" for h in horizons], series, f"Forecasts of {split} months", "mean absolute error, % of the price"
        )
        of_year = covered.filter(pl.col("split") == split)
        if of_year.height:
            years = of_year["year"].unique().sort().to_list()
            lines = {
                year: [dict(of_year.filter(pl.col("year") == year).select("horizon", "coverage").iter_rows()).get(h)
                       for h in horizons]
                for year in years
            }  # fmt: skip
            pictures[f"coverage by horizon, {split}"] = lines_by_month(
                [f"+{h}" for h in horizons], lines, f"90% intervals of {split} months", "% of prices inside", None, 90.0
            )
    last = skill.filter((pl.col("split") == skill["split"][-1]) & (pl.col("horizon") == pl.col("horizon").min()))
    pictures["skill one month ahead"] = bars(
        last["against"].to_list(), last["skill"].to_list(), f"Error saved against {len(NAIVE_GROWTH)} baselines", "%"
    )
    return pictures
