"""How columns of any table are labelled and formatted. Columns that one table alone has belong to its view."""

from typing import Any

import streamlit as st

from housing_assets.core.forecasting.schema import PREDICTOR_LABELS
from housing_dashboard.glossary import help_for

_TEXTS = {
    "zipcode": "Zip",
    "city_full": "Metro",
    "horizon": "Months ahead",
    "predictor": "Predictor",
    "against": "Against",
    "origins": "Origins",
}
_DOLLARS = {
    "predicted_price": "Predicted",
    "predicted_low": "Low",
    "predicted_high": "High",
    "actual_price": "Actual",
    "naive_price": "Month before",
    "last_known_price": "Last known",
    "price": "Price",
    "predicted": "Predicted",
    "actual": "Actual",
    "low": "Low",
    "high": "High",
    "error": "Error",
    "mae": "MAE",
    "rmse": "RMSE",
    "dollars": "Contribution",
}
_ERRORS = {
    "percent": "% error",
    "mape": "Mean % error",
    "mdape": "Median % error",
    "naive_mape": "Naive % error",
    "naive": "Naive % error",
    "bias": "Bias",
    "change": "Change",
    "eval": "% error on eval",
    "eval_naive": "Best naive on eval",
    "holdout": "% error on holdout",
    "holdout_naive": "Best naive on holdout",
    "width": "Width",
}
_SHARES = {
    "coverage": "Inside the interval",
    "within_5": "Within 5%",
    "within_10": "Within 10%",
    "below": "Below",
    "inside": "Inside",
    "above": "Above",
    "skill": "Error reduction",
    "skill_low": "Reduction, low",
    "skill_high": "Reduction, high",
}
_RATIO_HELP = "Its error divided by that of the best naive baseline"


def column_formats() -> dict[str, Any]:
    """Streamlit's configuration of each known column, by name."""
    number = st.column_config.NumberColumn
    return {
        "date": st.column_config.DateColumn("Month", format="YYYY-MM"),
        **_TEXTS,
        **{name: number(label, format="dollar", step=1, help=help_for(label)) for name, label in _DOLLARS.items()},
        **{name: number(label, format="%.2f%%", help=help_for(label)) for name, label in _ERRORS.items()},
        **{name: number(label, format="%.1f%%", help=help_for(label)) for name, label in _SHARES.items()},
        **{
            f"{split}_ratio": number(f"Ratio on {split}", format="%.2f", help=_RATIO_HELP)
            for split in ("eval", "holdout")
        },
    }


def label_of(name: str) -> str:
    """How a column without a format of its own is labelled: a predictor by its words, others with a capital letter."""
    words = PREDICTOR_LABELS.get(name, name.replace("_", " "))
    return words[:1].upper() + words[1:]
