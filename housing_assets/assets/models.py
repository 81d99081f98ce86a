"""Models: the baseline, and which model is the champion."""

import hashlib
from dataclasses import asdict

import dagster as dg
import polars as pl
from pydantic import Field

from housing_assets.assets.common import CODE_VERSION, ML_OWNERS, picture, table
from housing_assets.core.encoding import Encoders
from housing_assets.core.evaluation import compare, naive_predictions
from housing_assets.core.features import FEATURES
from housing_assets.core.intervals import calibrate
from housing_assets.core.model import PriceModel, model_files
from housing_assets.core.months import Split
from housing_assets.core.plots import predicted_against_actual
from housing_assets.core.promotion import decide
from housing_assets.core.training import TrainingParams, predict_prices, train_booster
from housing_assets.settings import Settings
from housing_assets.store.bundles import champion_version, load_bundle, point_to, publish_bundle
from housing_assets.store.layout import Store, encode_parquet

_DEFAULTS = TrainingParams()


class BaselineConfig(dg.Config):
    """Hyperparameters of the baseline; the defaults are the reference implementation's."""

    n_estimators: int = Field(_DEFAULTS.n_estimators, description="Number of trees")
    max_depth: int = Field(_DEFAULTS.max_depth, description="Depth of a tree")
    learning_rate: float = Field(_DEFAULTS.learning_rate, description="Shrinkage of each tree")
    subsample: float = Field(_DEFAULTS.subsample, description="Share of rows a tree sees")
    colsample_bytree: float = Field(_DEFAULTS.colsample_bytree, description="Share of features a tree sees")
    min_child_weight: float = Field(_DEFAULTS.min_child_weight, description="Least weight in a leaf")
    reg_alpha: float = Field(_DEFAULTS.reg_alpha, description="L1 penalty of leaf weights")
    reg_lambda: float = Field(_DEFAULTS.reg_lambda, description="L2 penalty of leaf weights")
    max_bin: int = Field(_DEFAULTS.max_bin, description="Histogram bins of a feature")
    target: str = Field(_DEFAULTS.target, description="What the trees fit: price or log_price")
    seed: int = Field(_DEFAULTS.seed, description="Of row and column samples")


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`baseline_model` and `champion_model`."""
    train_months = settings.split_months(Split.TRAIN)
    eval_months = settings.split_months(Split.EVAL)

    @dg.asset(
        group_name="models",
        owners=ML_OWNERS,
        kinds={"xgboost"},
        code_version=CODE_VERSION,
        description="XGBoost with the reference's parameters, fitted on train, graded on eval beside naive "
        "baselines. The asset is a reference to its bundle under `models/`.",
    )
    def baseline_model(
        context: dg.AssetExecutionContext,
        config: BaselineConfig,
        training_features: pl.DataFrame,
        encoders: pl.DataFrame,
        store: dg.ResourceParam[Store],
    ) -> dict:
        params = TrainingParams(**config.model_dump())
        train = training_features.filter(pl.col("split") == Split.TRAIN)
        held = training_features.filter(pl.col("split") == Split.EVAL)
        context.log.info(f"training {params.n_estimators} trees on {train.height:,} rows")

        def progress(done: int, total: int) -> None:
            if done % max(1, total // 5) == 0:
                context.log.info(f"{done} of {total} trees")

        booster = train_booster(train, params, progress)
        predicted = predict_prices(booster, held, params.target)
        actual = held["price"].to_numpy()
        report = compare(actual, {"baseline_model": predicted, **naive_predictions(train, held)})
        model = PriceModel(
            booster,
            Encoders.from_table(encoders),
            calibrate(held["city_full"], actual, predicted),
            params.target,
        )
        golden = store.months("cleaned").read(eval_months[0])
        files = model_files(model, golden, {"eval": {r["predictor"]: r for r in report.to_dicts()}})
        facts = {
            "parameters": asdict(params),
            "months": {
                "train": [train_months[0], train_months[-1]],
                "eval": [eval_months[0], eval_months[-1]],
            },
            "rows": {"train": train.height, "eval": held.height},
            "training_data_sha256": hashlib.sha256(encode_parquet(training_features)).hexdigest(),
            "source": "synthetic sample" if settings.uses_sample else settings.source_uri,
        }
        version = publish_bundle(store, "baseline", files, facts)
        gain = booster.get_score(importance_type="gain")
        importance = pl.DataFrame({"feature": FEATURES, "gain": [gain.get(f, 0.0) for f in FEATURES]})
        context.add_output_metadata(
            {
                "version": version,
                "eval metrics": table(report),
                **{name: report[name][0] for name in ("mae", "rmse", "r2", "mape", "mdape")},
                "predicted against actual": picture(predicted_against_actual(actual, predicted, f"{version} on eval")),
                "feature importance": table(importance.sort("gain", descending=True)),
            }
        )
        return {"version": version}

    @dg.asset(
        group_name="models",
        owners=ML_OWNERS,
        kinds={"xgboost"},
        code_version=CODE_VERSION,
        description="The model that predictions use: one pointer to an immutable bundle. A candidate that "
        "does not beat the naive baselines on eval is refused, and the champion before it stays.",
    )
    def champion_model(
        context: dg.AssetExecutionContext, baseline_model: dict, store: dg.ResourceParam[Store]
    ) -> dg.MaterializeResult:
        candidate = load_bundle(store, baseline_model["version"])
        decision = decide(candidate.metrics()["eval"], "baseline_model")
        before = champion_version(store)
        context.log.info(decision.reason)
        if not decision.promoted:
            raise dg.Failure(
                f"{candidate.version} is not promoted: {decision.reason}. The champion stays {before or 'none'}",
                allow_retries=False,
            )
        point_to(store, candidate.version)
        return dg.MaterializeResult(
            metadata={"version": candidate.version, "before": before or "none", "reason": decision.reason}
        )

    return [baseline_model, champion_model]
