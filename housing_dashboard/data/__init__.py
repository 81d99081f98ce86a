"""What the pages show, read from the store and cached under the stamps of its files.

A month or a champion that was materialized anew appears at the next rerun, and nothing else is read again. Figures that
are computed from frames belong in `housing_dashboard.figures`.
"""

from housing_dashboard.data.access import api, settings, store
from housing_dashboard.data.checks import (
    check_states,
    expected_months,
    minute_of,
    source_label,
    stale,
    unpartitioned_state,
    verdicts,
)
from housing_dashboard.data.files import MonthRows, months_of, predictions, read_months, read_table
from housing_dashboard.data.history import PriceGrid, price_grid
from housing_dashboard.data.models import (
    Champion,
    champion,
    champion_name,
    champions,
    eval_figures,
    eval_figures_without_history,
    forecast_decisions,
    importance,
    published_forecasts,
    versions,
)
from housing_dashboard.data.month import (
    areas_of_newest_month,
    forecast_of_zips,
    incomes,
    month_of_zips,
    months_with_prices,
    place_metros,
)
from housing_dashboard.data.places import (
    FORECAST_COLUMNS,
    METRO,
    NATION,
    ZIP,
    Place,
    errors_by_origin,
    forecasts_of,
    known_prices,
    metro_prices,
    places,
    predictions_of,
    zip_by_name,
)
from housing_dashboard.data.sources import (
    REVISION_FIGURES,
    changes_by_source,
    newest_vintages,
    publications,
    revisions,
    vintages_in_words,
)

__all__ = [
    "FORECAST_COLUMNS",
    "METRO",
    "NATION",
    "REVISION_FIGURES",
    "ZIP",
    "Champion",
    "MonthRows",
    "Place",
    "PriceGrid",
    "api",
    "areas_of_newest_month",
    "champion",
    "champion_name",
    "champions",
    "changes_by_source",
    "check_states",
    "errors_by_origin",
    "eval_figures",
    "eval_figures_without_history",
    "expected_months",
    "forecast_decisions",
    "forecast_of_zips",
    "forecasts_of",
    "importance",
    "incomes",
    "known_prices",
    "metro_prices",
    "minute_of",
    "month_of_zips",
    "months_of",
    "months_with_prices",
    "newest_vintages",
    "place_metros",
    "places",
    "predictions",
    "predictions_of",
    "price_grid",
    "publications",
    "published_forecasts",
    "read_months",
    "read_table",
    "revisions",
    "settings",
    "source_label",
    "stale",
    "store",
    "unpartitioned_state",
    "verdicts",
    "versions",
    "vintages_in_words",
    "zip_by_name",
]
