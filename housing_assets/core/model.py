"""A price model: booster, encoders and intervals that belong together, and its readable files.

No file is a pickle: trees are XGBoost's own UBJSON, tables Parquet, the rest JSON.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from housing_assets.core.anchor import Anchor
from housing_assets.core.encoding import Encoders
from housing_assets.core.errors import BundleError
from housing_assets.core.features import FEATURE_INPUTS, FEATURES, make_features
from housing_assets.core.intervals import interval
from housing_assets.core.onnx_twin import TWIN_TOLERANCE, open_twin, to_onnx, twin_output
from housing_assets.core.training import PriceTrees, feature_matrix

PREDICTION_SCHEMA: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "zipcode": pl.String(),
    "city_full": pl.String(),
    "predicted_price": pl.Float64(),
    "predicted_low": pl.Float64(),
    "predicted_high": pl.Float64(),
    "actual_price": pl.Float64(),
    "model_version": pl.String(),
}
"""Columns of `monthly_predictions`. Prices in US dollars; `actual_price` is null where it is not known."""

PREDICTION_DESCRIPTIONS: dict[str, str] = {
    "predicted_price": "What the champion says the zip's price is in this month (US dollars)",
    "predicted_low": "Low end of the 90% interval (US dollars)",
    "predicted_high": "High end of the 90% interval (US dollars)",
    "actual_price": "The price that came, null where it is not known (US dollars)",
    "model_version": "Version of the champion that predicted",
}
"""What the columns are that the raw panel does not have."""

GOLDEN_ROWS = 64
"""Rows kept in a bundle with the prices they must get, so that a loader can tell a wrong model."""
GOLDEN_TOLERANCE = 1e-6
"""Largest relative difference of a golden row: the same engine must give the same number."""


@dataclass(frozen=True)
class PriceModel:
    """Everything a prediction needs.

    Attributes:
        trees: what says the price.
        encoders: fitted on the model's own train months.
        intervals: calibration as `housing_assets.core.intervals.calibrate` gives them.
        version: of the bundle it came from; empty before it was published.
    """

    trees: PriceTrees
    encoders: Encoders
    intervals: pl.DataFrame
    version: str = ""

    def prices(self, rows: pl.DataFrame) -> np.ndarray:
        """Prices in US dollars, shape (n,), of n standardized rows."""
        return self.trees.prices(make_features(rows, self.encoders))

    def predict(self, rows: pl.DataFrame, intervals: pl.DataFrame | None = None) -> pl.DataFrame:
        """Predictions of n standardized rows: n rows in the same order, `PREDICTION_SCHEMA`.

        Args:
            rows: to predict.
            intervals: a newer calibration than the model's own.
        """
        prices = self.prices(rows)
        low, high = interval(rows["city_full"], prices, self.intervals if intervals is None else intervals)
        return rows.select("date", "zipcode", "city_full").with_columns(
            pl.Series("predicted_price", prices, pl.Float64),
            pl.Series("predicted_low", low, pl.Float64),
            pl.Series("predicted_high", high, pl.Float64),
            rows["price"].alias("actual_price"),
            pl.lit(self.version).alias("model_version"),
        )


def model_files(model: PriceModel, golden: pl.DataFrame, metrics: Mapping[str, object]) -> dict[str, bytes]:
    """The files of a bundle, by name.

    Args:
        model: to keep.
        golden: some standardized rows; the prices they get now are kept with them.
        metrics: what evaluation found, for people.
    """
    rows = golden.head(GOLDEN_ROWS).select(FEATURE_INPUTS)
    expected = rows.with_columns(pl.Series("expected_price", model.prices(rows)))
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
            }
        ),
        "metrics.json": _json(dict(metrics)),
    }


def model_from_files(files: Mapping[str, bytes], version: str) -> PriceModel:
    """Read a model back. The caller has verified the hashes of `files`.

    Raises:
        BundleError: a file is missing, the features are not those of this code, or a golden row gets
            another price than it did.
    """
    import xgboost as xgb

    try:
        told = json.loads(files["features.json"])
        if told["features"] != list(FEATURES):
            raise BundleError(
                f"model {version} was made with other features ({len(told['features'])}) than this version "
                f"of the platform makes ({len(FEATURES)}): train again, or run the version that made it"
            )
        booster = xgb.Booster({"nthread": 1})
        booster.load_model(bytearray(files["model.ubj"]))
        anchor = Anchor(**told["anchor"]) if told["anchor"] else None
        model = PriceModel(
            PriceTrees(booster, told["target"], anchor),
            Encoders.from_table(pl.read_parquet(io.BytesIO(files["encoders.parquet"]))),
            pl.read_parquet(io.BytesIO(files["intervals.parquet"])),
            version,
        )
        golden = pl.read_parquet(io.BytesIO(files["golden_rows.parquet"]))
    except KeyError as error:
        raise BundleError(f"model {version} lacks {error}: publish it again") from error
    expected = golden["expected_price"].to_numpy()
    if not np.allclose(model.prices(golden), expected, rtol=GOLDEN_TOLERANCE, atol=0):
        raise BundleError(f"model {version} gives its golden rows other prices than when it was made")
    return model


def twin_difference(files: Mapping[str, bytes], model: PriceModel) -> float:
    """Largest difference of the ONNX twin and the model on the golden rows, in log price.

    Raises:
        BundleError: the bundle has no twin.
    """
    if "model.onnx" not in files:
        raise BundleError(f"model {model.version} lacks model.onnx: train it again")
    golden = pl.read_parquet(io.BytesIO(files["golden_rows.parquet"]))
    features = make_features(golden, model.encoders)
    said = twin_output(open_twin(files["model.onnx"]), feature_matrix(features))
    twin = model.trees.to_prices(said, features)
    return float(np.abs(np.log(twin) - np.log(golden["expected_price"].to_numpy())).max())


def twin_problem(files: Mapping[str, bytes], model: PriceModel) -> str | None:
    """Why the ONNX twin is not the model, in words; None if it is."""
    difference = twin_difference(files, model)
    if difference <= TWIN_TOLERANCE:
        return None
    return f"the ONNX twin differs by {difference:.2g} in log price, more than {TWIN_TOLERANCE:g}"


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
