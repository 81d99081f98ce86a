"""Which measures are taken of each asset: a rule about any other would judge nothing, and be green for ever."""

from collections.abc import Iterable, Mapping

from housing_assets.core.errors import HousingError
from housing_assets.core.quality.rules import Rule

_FRAME = frozenset({"undeclared", "rows"})
_KEYS = frozenset({"other_dates", "keys_missing", "zip_format"})
_BUNDLE = frozenset({"bundle_problems", "twin_difference"})
_MODEL = _BUNDLE | {"months_after_train", "not_a_price", "median_error"}

MEASURES: Mapping[str, frozenset[str]] = {
    "raw_splits": _FRAME
    | _KEYS
    | {"repeated_share", "unknown_metros", "not_finite", "impossible_share", "price_missing", "missing_rise"}
    | {"frozen", "magnitude", "order_lost", "row_ratio", "zip_coverage", "jump_share", "jumps"}
    | {"price_restated", "values_restated", "metros_lost"},
    "cleaned": _FRAME | _KEYS | {"repeated_keys", "impossible", "not_finite", "price_missing", "quarantined_share"},
    "interval_calibration": _FRAME | {"not_finite", "inverted", "not_past"},
    "monthly_predictions": _FRAME
    | _KEYS
    | {"repeated_keys", "zips_unmatched", "not_a_price", "inverted", "far_share", "far"},
    "price_history": _FRAME | {"repeated_keys", "months_missing"},
    "monthly_forecasts": _FRAME
    | {"other_dates", "repeated_keys", "horizons_missing", "not_a_price", "inverted", "intervals_missing", "far_share"},
    "encoders": _FRAME | {"not_finite", "repeated_keys", "unseen_undefined", "not_of_train", "unencoded_share"},
    "training_features": _FRAME | {"barred", "holdout_rows", "months_missing", "not_a_price", "price_correlation"},
    "baseline_model": _MODEL,
    "tuned_model": _MODEL,
    "champion_model": _BUNDLE,
    "model_evaluation": frozenset({"figures_missing"}),
    "forecast_model": frozenset({"bundle_problems", "months_after_train"}),
    "forecast_evaluation": frozenset({"figures_missing", "published_worse"}),
    "drift_report": frozenset({"drifted_share", "prediction_drift"}),
    "prediction_accuracy": frozenset({"error_ratio"}),
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
