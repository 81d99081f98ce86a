"""Evaluation: every model beside the naive baselines, on eval and on holdout."""

import dagster as dg
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import BASELINE_MODEL, CLEANED, MODEL_EVALUATION, TUNED_MODEL
from housing_assets.core.evaluation.models import Evaluation, evaluate_models
from housing_assets.core.features.encoding import ENCODER_COLUMNS
from housing_assets.core.features.history import HISTORY_SCHEMA, History
from housing_assets.core.features.monthly import FEATURE_INPUTS
from housing_assets.core.models.engine import CORES
from housing_assets.core.months import Split
from housing_assets.core.panel.splits import with_split
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import picture, table
from housing_assets.orchestration.plots import bars, lines_by_month, predicted_against_actual, residuals_by_price
from housing_assets.orchestration.resources.io_manager import AS_JSON, MonthReader
from housing_assets.orchestration.resources.tracking import Tracker
from housing_assets.store.bundles import BundleError, load_bundle
from housing_assets.store.gates import require, sound_months
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version

CANDIDATE = TUNED_MODEL
BASELINE = BASELINE_MODEL
CHAMPION = "champion"
_FIGURES = ("rows", "mae", "rmse", "r2", "mape", "mdape", "within_5", "within_10", "within_20", "bias")
_MOST_METROS = 30


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`model_evaluation`."""
    train, held, later = (settings.split_months(part) for part in (Split.TRAIN, Split.EVAL, Split.HOLDOUT))
    every = dg.SpecificPartitionsPartitionMapping([*train, *held, *later])

    @described_asset(
        MODEL_EVALUATION,
        settings,
        required_resource_keys={"store", "mlflow"},
        ins={CLEANED: dg.AssetIn(partition_mapping=every), BASELINE_MODEL: AS_JSON, TUNED_MODEL: AS_JSON},
        description="Errors of the tuned model, the baseline model, the present champion and the naive baselines on "
        "the same rows: overall, by metro, month and price decile, on eval and on what there is of holdout, with "
        "skill scores and the coverage of rolling intervals. Holdout is reported and decides nothing.",
    )
    def model_evaluation(
        context: dg.AssetExecutionContext, cleaned: MonthReader, baseline_model: dict, tuned_model: dict
    ) -> pl.DataFrame:
        store: Store = context.resources.store
        cleaned.months.require([*train, *held])
        require(store, MODEL_EVALUATION, {CLEANED: [*train, *held]})
        sound = sound_months(store, CLEANED, later)
        columns = list(dict.fromkeys([*FEATURE_INPUTS, "price"]))
        graded = [*held, *(m for m in later if m in sound)]
        rows = with_split(cleaned.months.read_many(graded, columns), settings.split)
        past = cleaned.months.read_many(train, ENCODER_COLUMNS).drop_nulls("price")
        read = cleaned.months.iterate([*train, *graded], list(HISTORY_SCHEMA))
        history = History.from_months(frame for _, frame in read)
        versions = {CANDIDATE: tuned_model["version"], BASELINE: baseline_model["version"]}
        if (champion := _champion(context, store, settings.publication_lag)) and champion != versions[CANDIDATE]:
            versions[CHAMPION] = champion
        models = {name: load_bundle(store, version).model(CORES) for name, version in versions.items()}
        evaluation = evaluate_models(rows, models, past, history)
        store.write_table("model_comparison", evaluation.paired)
        overall = evaluation.table.filter(pl.col("by") == "overall")
        tracker: Tracker = context.resources.mlflow
        for row in overall.filter(pl.col("predictor") == CANDIDATE).to_dicts():
            tracker.metrics({k: row[k] for k in ("mae", "rmse", "r2", "mape", "coverage")}, f"{row['split']}_")
        pictures = _pictures(evaluation, settings)
        tracker.files({f"{name.replace(' ', '_')}.png": png for name, png in pictures.items()}, "evaluation")
        tracker.files({"model_evaluation.csv": evaluation.table.write_csv().encode()}, "evaluation")
        skills = [c for c in overall.columns if c.startswith("skill_vs_")]
        context.add_output_metadata(
            {
                **versions,
                "overall": table(overall.select("split", "predictor", *_FIGURES, "coverage", "width")),
                "skill, % of the other's MAE saved": table(overall.select("split", "predictor", *skills)),
                "MAE saved, US dollars, with 95% bootstrap interval over zips": table(evaluation.paired),
                **{name: picture(png) for name, png in pictures.items()},
                **tracker.metadata(),
            }
        )
        return evaluation.table

    return [model_evaluation]


def _champion(context: dg.AssetExecutionContext, store: Store, lag: int) -> str | None:
    """The present champion's version, if it can be read and graded; another is promotion's to deal with."""
    try:
        version = champion_version(store)
        model = load_bundle(store, version).model() if version else None
    except BundleError as error:
        context.log.warning(f"the champion is not evaluated: {error}")
        return None
    if model is not None and model.uses_history and model.lag != lag:
        context.log.warning(
            f"the champion {version} is not evaluated: it predicts from prices known {model.lag} months before, "
            f"HOUSING_PUBLICATION_LAG is {lag}"
        )
        return None
    return version


def _pictures(evaluation: Evaluation, settings: Settings) -> dict[str, bytes]:
    actual, said = evaluation.rows["price"].to_numpy(), evaluation.predicted[CANDIDATE]
    pictures = {}
    for split in evaluation.rows["split"].unique(maintain_order=True):
        at = (evaluation.rows["split"] == split).to_numpy()
        title = f"{CANDIDATE} on {split}"
        pictures[f"predicted against actual, {split}"] = predicted_against_actual(actual[at], said[at], title)
        pictures[f"residuals, {split}"] = residuals_by_price(actual[at], said[at], title)
    by_month = evaluation.table.filter(pl.col("by") == "month")
    months = by_month["group"].unique().sort().to_list()
    shown = [p for p in evaluation.predicted if p not in ("train_median", "metro_median")]
    mark = settings.split.holdout_start
    for figure, title, label, level in (
        ("mape", "Mean absolute error by month", "% of the actual price", None),
        ("coverage", "Coverage of rolling 90% intervals by month", "% of prices inside", 90.0),
    ):
        wanted = shown if figure == "mape" else [CANDIDATE]
        series = {p: _by_month(by_month, p, figure, months) for p in wanted}
        pictures[f"{'error' if figure == 'mape' else figure} by month"] = lines_by_month(
            months, series, title, label, mark, level
        )
    metros = (
        evaluation.table.filter(
            (pl.col("by") == "metro") & (pl.col("predictor") == CANDIDATE) & (pl.col("split") == "eval")
        )
        .sort("mape", descending=True)
        .head(_MOST_METROS)
    )
    pictures["error by metro"] = bars(
        metros["group"].to_list(),
        metros["mape"].to_list(),
        f"{CANDIDATE} on eval: metros with the largest errors",
        "mean absolute error, % of the actual price",
    )
    return pictures


def _by_month(table: pl.DataFrame, predictor: str, figure: str, months: list[str]) -> list[float | None]:
    values = dict(table.filter(pl.col("predictor") == predictor).select("group", figure).iter_rows())
    return [values.get(month) for month in months]
