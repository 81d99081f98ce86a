"""A price model: booster, encoders, growth model and intervals that belong together, and its readable files.

A zip with a history is predicted from its last known price and the growth of that. A zip without one is predicted from
the figures of its own month. These are two models: a single one, trained on both kinds of rows, would spend its trees
on the errors of the second kind, which are ten times larger.

No file is a pickle: trees are XGBoost's own UBJSON, tables Parquet, the rest JSON.

What belongs here: what a model predicts, and its files. How trees are fitted belongs in `trees`, and which version
serves in `housing_assets.store`.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from housing_assets.core.baselines.forecaster import Forecaster, forecast_prices
from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.errors import BundleError
from housing_assets.core.features.encoding import Encoders
from housing_assets.core.features.history import History
from housing_assets.core.features.monthly import FEATURE_INPUTS, FEATURES, make_features
from housing_assets.core.intervals.conformal import RESIDUAL_COLUMNS, interval
from housing_assets.core.models.anchor import Anchor
from housing_assets.core.models.combination import Combination, combination_from_files
from housing_assets.core.models.engine import import_xgboost
from housing_assets.core.models.growth import GrowthModel
from housing_assets.core.models.onnx import TWIN_TOLERANCE, open_twin, to_onnx, twin_output
from housing_assets.core.models.publication import (
    AS_IT_IS,
    MODEL,
    PRICE_PREDICTORS,
    PUBLICATION_FILE,
    Publication,
    publication_file,
    publication_from_file,
)
from housing_assets.core.models.refitted import RefittedCombination, refitted_files, refitted_from_files
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import PriceTrees, SavedTrees, Target
from housing_assets.core.months import add_months, month_of

PREDICTED_SCHEMA: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "zipcode": pl.String(),
    "city_full": pl.String(),
    "predicted_price": pl.Float64(),
    "predicted_low": pl.Float64(),
    "predicted_high": pl.Float64(),
    "actual_price": pl.Float64(),
    "model_version": pl.String(),
    "from_history": pl.Boolean(),
    "predictor": pl.String(),
}
"""Columns of predictions. Prices in US dollars; `actual_price` is null where it is not known."""

VINTAGE_COLUMNS: dict[str, pl.DataType] = {"vintage": pl.String(), "first_price": pl.Float64()}
"""Columns of `monthly_predictions` that the model does not know. Files of earlier versions lack them."""

PREDICTION_SCHEMA: dict[str, pl.DataType] = {**PREDICTED_SCHEMA, **VINTAGE_COLUMNS}
"""Columns of `monthly_predictions`."""

PREDICTION_DESCRIPTIONS: dict[str, str] = {
    "predicted_price": "Price of the zip in this month as the champion predicts it (US dollars)",
    "predicted_low": "Low end of the 90% interval (US dollars)",
    "predicted_high": "High end of the 90% interval (US dollars)",
    "actual_price": "Actual price, null where it is not known (US dollars)",
    "model_version": "Version of the champion that predicted",
    "from_history": "True if predicted from the zip's own past prices, false if from the month's figures, less surely",
    "predictor": "The model, or the naive baseline whose number it is, since it was better on eval "
    f"({', '.join(PRICE_PREDICTORS[1:])})",
    "vintage": "Source and time of the vintages that the month's raw rows rest on, null where not known",
    "first_price": "Price of the zip and month in the earliest vintage kept, null where not known (US dollars)",
}
"""Descriptions of the columns that the raw panel does not have."""

GOLDEN_ROWS = 64
"""Rows kept in a bundle with the prices they must get, so that a loader recognizes a wrong model."""
_JUDGED_FILE = "judged_model.ubj"
GOLDEN_TOLERANCE = 1e-6
"""Largest relative difference of a golden row: the same engine must give the same number."""


@dataclass(frozen=True)
class PriceModel:
    """Everything a prediction needs.

    Attributes:
        trees: the model of zips without a history.
        encoders: fitted on the model's own train months.
        intervals: calibration as `housing_assets.core.intervals.conformal.calibrate` gives them.
        version: of the bundle it came from; empty before it was published.
        growth: how a known price grows, by fits of which each forecasts from its month on. That of an earlier bundle
            has one fit. None if history is not used.
        lag: months from the last price that is known to the month predicted: the publication lag.
        publication: the predictor of rows with a history, and how much intervals are widened.
        max_list_price: US dollars. Rows with a higher `median_list_price` were not trained on. None if not known.
        judged: the trees of the same hyperparameters, fitted on train alone, by which months that `trees` learned from
            are graded. None if `trees` learned from train alone.
        unseen_from: the first month that `trees` did not learn from; empty where `judged` is None.
    """

    trees: PriceTrees
    encoders: Encoders
    intervals: pl.DataFrame
    version: str = ""
    growth: RefittedCombination | Combination | GrowthModel | None = None
    lag: int = 1
    publication: Publication = AS_IT_IS
    max_list_price: float | None = None
    judged: SavedTrees | None = None
    unseen_from: str = ""

    @property
    def uses_history(self) -> bool:
        """True if rows are predicted from the history of their zips, where there is one."""
        return self.growth is not None or self.publication.predictor != MODEL

    @property
    def forecaster(self) -> Forecaster | None:
        """Whose growth rows with a history are predicted by; None: history is not used."""
        if self.publication.predictor == MODEL:
            return self.growth
        return NAIVE_FORECASTERS[self.publication.predictor]

    @property
    def fitted_before(self) -> str:
        """The month before which all that the newest fit of `growth` learned lies; empty without one that says it."""
        return self.growth.fitted_before if isinstance(self.growth, RefittedCombination) else ""

    def graded_through(self, day: date | None) -> "PriceModel":
        """The same model, whose months up to a day are graded by the trees that learned from train alone: two models of
        different splits are compared by the same kind of trees. None leaves it as it is."""
        if day is None or self.judged is None:
            return self
        return replace(self, unseen_from=max(self.unseen_from, add_months(month_of(day), 1)))

    def itself(self) -> "PriceModel":
        """The same model publishing its own numbers, by which it is graded beside the baselines."""
        return replace(self, publication=AS_IT_IS)

    def prices(self, rows: pl.DataFrame, history: History | None = None) -> np.ndarray:
        """Prices in US dollars, shape (n,), of n standardized rows, from their history where that is known."""
        return self.prices_beside(rows, self.history_prices(rows, history))

    def prices_beside(self, rows: pl.DataFrame, grown: np.ndarray, unseen: bool = False) -> np.ndarray:
        """Prices in US dollars, shape (n,): those from history, the trees' where it gives none. Trees score these rows
        alone, which are few.

        Args:
            rows: n standardized rows.
            grown: their prices as `history_prices` gives them.
            unseen: as `unseen_prices_without_history` gives those of the trees.
        """
        prices, is_missing = grown.copy(), ~np.isfinite(grown)
        if is_missing.any():
            of_trees = self.unseen_prices_without_history if unseen else self.prices_without_history
            prices[is_missing] = of_trees(rows.filter(is_missing))
        return prices

    @property
    def graded_trees(self) -> PriceTrees:
        """The trees that learned from train alone."""
        return self.trees if self.judged is None else self.judged.trees

    def prices_without_history(self, rows: pl.DataFrame) -> np.ndarray:
        """Prices in US dollars, shape (n,), from the figures of the rows alone."""
        return self.trees.prices(make_features(rows, self.encoders))

    def unseen_prices_without_history(self, rows: pl.DataFrame) -> np.ndarray:
        """Prices in US dollars, shape (n,), from the figures of the rows alone, each by trees that did not learn from
        its month if that is one of eval or later: what a model is graded and its intervals are measured by."""
        is_seen = rows["date"].dt.strftime("%Y-%m") < self.unseen_from
        prices = np.empty(rows.height)
        prices[~is_seen.to_numpy()] = self.prices_without_history(rows.filter(~is_seen))
        prices[is_seen.to_numpy()] = self.graded_trees.prices(make_features(rows.filter(is_seen), self.encoders))
        return prices

    def history_prices(self, rows: pl.DataFrame, history: History | None) -> np.ndarray:
        """Prices in US dollars, shape (n,), from the zips' history alone; NaN where that says nothing."""
        if not self.uses_history or history is None:
            return np.full(rows.height, np.nan)
        months = rows["date"].dt.strftime("%Y-%m")
        zips = np.array([history.zip_index.get(zipcode, -1) for zipcode in rows["zipcode"]], np.int64)
        prices = np.full(rows.height, np.nan)
        for month in months.unique():
            here = (months == month).to_numpy() & (zips >= 0)
            prices[here] = self.month_prices(history, month)[zips[here]]
        return prices

    def month_prices(self, history: History, month: str) -> np.ndarray:
        """Prices in US dollars of every zip of a history in a month, shape (zips,); NaN where it says nothing."""
        forecaster = self.forecaster
        if forecaster is None:
            return np.full(len(history.zips), np.nan)
        return forecast_prices(forecaster, history, add_months(month, -self.lag), self.lag)

    def predict(
        self,
        rows: pl.DataFrame,
        history: History | None = None,
        intervals: pl.DataFrame | None = None,
        unseen: bool = False,
    ) -> pl.DataFrame:
        """Predictions of n standardized rows: n rows in the same order, `PREDICTED_SCHEMA`.

        Args:
            rows: to predict.
            history: of their zips; None: they are predicted without.
            intervals: a newer calibration than the model's own.
            unseen: see `prices_beside`.
        """
        grown = self.history_prices(rows, history)
        from_history = np.isfinite(grown)
        prices = self.prices_beside(rows, grown, unseen)
        table = self.intervals if intervals is None else intervals
        low, high = interval(rows["city_full"], prices, table, from_history)
        return rows.select("date", "zipcode", "city_full").with_columns(
            pl.Series("predicted_price", prices, pl.Float64),
            pl.Series("predicted_low", low, pl.Float64),
            pl.Series("predicted_high", high, pl.Float64),
            rows["price"].alias("actual_price"),
            pl.lit(self.version).alias("model_version"),
            pl.Series("from_history", from_history, pl.Boolean),
            pl.Series("predictor", np.where(from_history, self.publication.predictor, MODEL), pl.String),
        )

    def residuals(self, rows: pl.DataFrame, history: History | None = None) -> pl.DataFrame:
        """`RESIDUAL_COLUMNS` of the standardized rows whose price is known.

        Each row counts once without its history, and once more with it where it has one, so that the intervals of each
        kind rest on every row that can be predicted that way.
        """
        priced = rows.filter(pl.col("price").is_not_null())
        frame = priced.select("city_full", pl.col("price").alias("actual"))
        kinds = (self.unseen_prices_without_history(priced), False), (self.history_prices(priced, history), True)
        both = [
            frame.with_columns(pl.Series("predicted", predicted, pl.Float64), pl.lit(kind).alias("from_history"))
            for predicted, kind in kinds
        ]
        return pl.concat(both).filter(pl.col("predicted").is_finite()).select(RESIDUAL_COLUMNS)


def model_files(model: PriceModel, golden: pl.DataFrame, metrics: Mapping[str, object]) -> dict[str, bytes]:
    """The files of a bundle, by name.

    Args:
        model: to keep.
        golden: some standardized rows. They are kept with the prices they get now.
        metrics: results of the evaluation, for people.
    """
    rows = golden.head(GOLDEN_ROWS).select(FEATURE_INPUTS)
    expected = rows.with_columns(pl.Series("expected_price", model.prices_without_history(rows)))
    if isinstance(model.growth, Combination | GrowthModel):
        raise BundleError(
            f"model {model.version} has the growth model of an earlier version, which is read only: train again"
        )
    grown = {} if model.growth is None else refitted_files(model.growth)
    return {
        "model.ubj": bytes(model.trees.booster.save_raw("ubj")),
        "model.onnx": to_onnx(model.trees.booster),
        "encoders.parquet": _parquet(model.encoders.table),
        "intervals.parquet": _parquet(model.intervals),
        "golden_rows.parquet": _parquet(expected),
        "features.json": _json(
            {
                "features": list(FEATURES),
                "target": model.trees.target,
                "anchor": asdict(model.trees.anchor) if model.trees.anchor else None,
                "publication_lag": model.lag,
                "max_list_price": model.max_list_price,
                **({"judged": _judged_facts(model)} if model.judged else {}),
            }
        ),
        PUBLICATION_FILE: publication_file(model.publication),
        "metrics.json": _json(dict(metrics)),
        **({_JUDGED_FILE: model.judged.data} if model.judged else {}),
        **grown,
    }


def _judged_facts(model: PriceModel) -> dict[str, Any]:
    """What `features.json` says of the trees that a model was judged by."""
    anchor = model.judged.anchor if model.judged else None
    return {"unseen_from": model.unseen_from, "anchor": asdict(anchor) if anchor else None}


def model_from_files(files: Mapping[str, bytes], version: str, threads: int = 1) -> PriceModel:
    """Read a model back. The caller has verified the hashes of `files`. Earlier bundles are read too.

    Args:
        files: of the bundle, by name.
        version: of the bundle.
        threads: that its trees predict with.

    Raises:
        BundleError: a file is missing, the features or the predictor are not known to this code, or a golden row gets
            another price than it did.
    """
    import_xgboost()
    import xgboost as xgb

    try:
        description = json.loads(files["features.json"])
        if description["features"] != list(FEATURES):
            raise BundleError(
                f"model {version} was made with other features ({len(description['features'])}) than this version "
                f"of the platform makes ({len(FEATURES)}): train again, or run the version that made it"
            )
        booster = xgb.Booster({"nthread": threads})
        booster.load_model(bytearray(files["model.ubj"]))
        anchor = _anchor(description["anchor"])
        judged: Mapping[str, Any] = description.get("judged", {})
        model = PriceModel(
            PriceTrees(booster, description["target"], anchor),
            Encoders.from_table(pl.read_parquet(io.BytesIO(files["encoders.parquet"]))),
            pl.read_parquet(io.BytesIO(files["intervals.parquet"])),
            version,
            refitted_from_files(files) or combination_from_files(files),
            description["publication_lag"],
            publication_from_file(files[PUBLICATION_FILE] if "max_list_price" in description else None),
            description.get("max_list_price"),
            _saved(files[_JUDGED_FILE], description["target"], judged, threads) if judged else None,
            judged.get("unseen_from", ""),
        )
        golden = pl.read_parquet(io.BytesIO(files["golden_rows.parquet"]))
    except KeyError as error:
        raise BundleError(f"model {version} lacks {error}: publish it again") from error
    if model.publication.predictor not in PRICE_PREDICTORS:
        raise BundleError(
            f"model {version} publishes the number of {model.publication.predictor!r}, which this version of the "
            f"platform does not know (it knows {', '.join(PRICE_PREDICTORS)}): upgrade the platform, or train again"
        )
    expected = golden["expected_price"].to_numpy()
    if not np.allclose(model.prices_without_history(golden), expected, rtol=GOLDEN_TOLERANCE, atol=0):
        raise BundleError(f"model {version} gives its golden rows other prices than when it was made")
    return model


def _saved(data: bytes, target: Target, facts: Mapping[str, Any], threads: int) -> SavedTrees:
    """The trees that a model was judged by, from their file and what `_judged_facts` says of them."""
    return SavedTrees(data, target, _anchor(facts["anchor"]), threads)


def _anchor(content: Mapping[str, Any] | None) -> Anchor | None:
    """The anchor of `features.json`; None for a model without one."""
    return Anchor(**{field.name: content[field.name] for field in fields(Anchor)}) if content else None


def open_model_twin(files: Mapping[str, bytes], version: str) -> Any:
    """The ONNX twin of a bundle, as an onnxruntime session.

    Raises:
        BundleError: the bundle has no twin.
    """
    if "model.onnx" not in files:
        raise BundleError(f"model {version} lacks model.onnx: train it again")
    return open_twin(files["model.onnx"])


def twin_difference(files: Mapping[str, bytes], model: PriceModel, twin: Any = None) -> float:
    """Largest difference of the ONNX twin and the model on the golden rows, in log price.

    Args:
        files: of the bundle.
        model: read from them.
        twin: `open_model_twin`, where it is open already.

    Raises:
        BundleError: the bundle has no twin.
    """
    twin = twin or open_model_twin(files, model.version)
    golden = pl.read_parquet(io.BytesIO(files["golden_rows.parquet"]))
    features = make_features(golden, model.encoders)
    prices = model.trees.to_prices(twin_output(twin, feature_matrix(features)), features)
    return float(np.abs(np.log(prices) - np.log(golden["expected_price"].to_numpy())).max())


def twin_problem(files: Mapping[str, bytes], model: PriceModel, twin: Any = None) -> str | None:
    """Why the ONNX twin differs from the model, in words; None if it does not. Arguments as of `twin_difference`."""
    difference = twin_difference(files, model, twin)
    if difference <= TWIN_TOLERANCE:
        return None
    return f"the ONNX twin differs by {difference:.2g} in log price, more than {TWIN_TOLERANCE:g}"


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
