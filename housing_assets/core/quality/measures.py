"""Which measures are taken of each asset: a rule about any other would judge nothing, and be green for ever."""

from collections.abc import Iterable, Mapping

from housing_assets.core.catalogue import (
    BASELINE_MODEL,
    CHAMPION_MODEL,
    CLEANED,
    DRIFT_REPORT,
    ENCODERS,
    FORECAST_EVALUATION,
    FORECAST_MODEL,
    INTERVAL_CALIBRATION,
    MODEL_EVALUATION,
    MONTHLY_FORECASTS,
    MONTHLY_PREDICTIONS,
    PREDICTION_ACCURACY,
    PRICE_HISTORY,
    RAW_SPLITS,
    REVISIONS,
    TRAINING_FEATURES,
    TUNED_MODEL,
)
from housing_assets.core.errors import HousingError
from housing_assets.core.quality.rules import Rule

_FRAME = frozenset({"undeclared", "rows"})
_KEYS = frozenset({"other_dates", "keys_missing", "zip_format"})
_BUNDLE = frozenset({"bundle_problems", "twin_difference"})
_MODEL = _BUNDLE | {"months_after_train", "not_a_price", "median_error"}

MEASURES: Mapping[str, frozenset[str]] = {
    REVISIONS: frozenset({"impossible_revisions", "unusual_revisions"}),
    RAW_SPLITS: _FRAME
    | _KEYS
    | {"repeated_share", "unknown_metros", "not_finite", "impossible_share", "price_missing", "missing_rise"}
    | {"frozen", "magnitude", "order_lost", "row_ratio", "zip_coverage", "jump_share", "jumps"}
    | {"metros_lost"},
    CLEANED: _FRAME | _KEYS | {"repeated_keys", "impossible", "not_finite", "price_missing", "quarantined_share"},
    INTERVAL_CALIBRATION: _FRAME | {"not_finite", "inverted", "not_past"},
    MONTHLY_PREDICTIONS: _FRAME
    | _KEYS
    | {"repeated_keys", "zips_unmatched", "not_a_price", "inverted", "far_share", "far"},
    PRICE_HISTORY: _FRAME | {"repeated_keys", "months_missing"},
    MONTHLY_FORECASTS: _FRAME
    | {"other_dates", "repeated_keys", "horizons_missing", "not_a_price", "inverted", "intervals_missing", "far_share"},
    ENCODERS: _FRAME | {"not_finite", "repeated_keys", "unseen_undefined", "not_of_train", "unencoded_share"},
    TRAINING_FEATURES: _FRAME | {"barred", "holdout_rows", "months_missing", "not_a_price", "price_correlation"},
    BASELINE_MODEL: _MODEL,
    TUNED_MODEL: _MODEL,
    CHAMPION_MODEL: _BUNDLE,
    MODEL_EVALUATION: frozenset({"figures_missing"}),
    FORECAST_MODEL: frozenset({"bundle_problems", "months_after_train"}),
    FORECAST_EVALUATION: frozenset({"figures_missing", "published_worse"}),
    DRIFT_REPORT: frozenset({"drifted_share", "prediction_drift"}),
    PREDICTION_ACCURACY: frozenset({"error_ratio"}),
}
"""By asset, what the modules beside this one measure of it, on any of its months."""


def require_measures(rules: Iterable[Rule]) -> None:
    """Refuse rules that would judge nothing.

    Raises:
        HousingError: the measure of a rule is taken of none of the months of one of its assets.
    """
    for rule in rules:
        for asset in rule.assets:
            if rule.measure not in MEASURES.get(asset, ()):
                taken = ", ".join(sorted(MEASURES.get(asset, ()))) or "nothing"
                raise HousingError(
                    f"the rule {rule.name} of {asset} judges {rule.measure}, which is not measured of it; measured "
                    f"is {taken}: take the measure and name it in housing_assets/core/quality/measures.py, or mend "
                    "the rule"
                )
