"""Requests and answers as structs: they encode the answers, and `/openapi.json` is generated from them.

What belongs here: names, types and descriptions of fields. The row that clients send is in `raw_row`, since it is
generated from the column contract.
"""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from housing_assets.core.features.history import HISTORY_SCHEMA
from housing_assets.core.forecasting.schema import HORIZONS, PREDICTORS
from housing_assets.core.models.publication import MODEL, PRICE_PREDICTORS
from housing_assets.core.months import MONTH_PATTERN
from housing_serving.raw_row import ROW_SCHEMA
from housing_serving.rows import FieldError

Month = Annotated[str, Meta(pattern=MONTH_PATTERN, description="A month, YYYY-MM")]
Dollars = Annotated[float, Meta(description="US dollars")]
FromHistory = Annotated[
    bool, Meta(description="Is the price from the zip's own past? If not, it is from the row's figures, less surely")
]

Predictor = Annotated[
    str,
    Meta(
        description=f"Whose number it is: {MODEL}, or of a row with a history the naive baseline that was better on "
        f"eval: {', '.join(PRICE_PREDICTORS[1:])}"
    ),
]

Vintage = Annotated[
    str | None,
    Meta(description="Source and time of the vintages that the newest rows used rest on; null: not known"),
]


class Problem(Struct):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()


class About(Struct):
    """What this is."""

    name: str
    version: str
    note: str
    links: dict[str, str]


class Alive(Struct):
    """The process runs."""

    status: Literal["alive"] = "alive"


class Ready(Struct):
    """A model serves."""

    model_version: str
    status: Literal["ready"] = "ready"


class Health(Struct):
    """Whether predictions can be made, by which model, from how many features; and what is wrong, if anything."""

    status: Literal["healthy", "unhealthy"]
    model_version: str | None
    n_features_expected: int
    reason: str


class Feature(Struct):
    """A feature of the model, with its unit and range where it is a column of the panel."""

    name: str
    description: str
    unit: str | None
    low: float | None
    high: float | None
    type: Literal["number"] = "number"


class KnownHistory(Struct):
    """The past that prices are predicted from."""

    first_month: Month
    last_month: Month
    zips: int
    publication_lag: Annotated[int, Meta(description="Months from the last known price to the month predicted")]
    fitted_before: Annotated[
        str, Meta(description="The newest fit of growth learned from the months before; empty: not recorded")
    ]


class Source(Struct):
    """A source that the newest predictions rest on."""

    source: str
    publisher: str
    vintage: Annotated[str, Meta(description="Time of the vintage in the store, UTC")]
    attribution: Annotated[str, Meta(description="What the publisher's terms ask to be shown; empty: nothing")]


class Model(Struct):
    """The champion: what it was made from, how it did, and the history it predicts from, where it uses one."""

    version: str
    kind: str
    created: str
    months: dict[str, Any]
    rows: Any
    parameters: dict[str, Any]
    source: Any
    libraries: dict[str, str]
    metrics: dict[str, Any]
    features: list[Feature]
    history: KnownHistory | None
    predictor: Predictor
    published: Annotated[
        dict[str, Any],
        Meta(
            description="Why that predictor, by mean absolute error on eval rows with a history in US dollars; and how "
            "the 90% intervals of both kinds of row held on eval, with the factor that they are widened by"
        ),
    ]
    published_in_words: Annotated[str, Meta(description="The same for people; empty: the model's own, as measured")]
    judged: Annotated[
        dict[str, Any],
        Meta(
            description="The publication lag (months), time split and highest list price (US dollars) it was judged by"
        ),
    ]
    provisional: Annotated[
        str, Meta(description="Why it serves although it did not pass its tests: there is no better yet; empty: it did")
    ]
    sources: Annotated[list[Source], Meta(description="Of the newest predictions; empty: they name no vintage")]


class Warned(Struct):
    """Why one row's prediction deserves less trust."""

    row: int
    field: str
    message: str


class Predicted(Struct, omit_defaults=True):
    """Prices with 90% intervals, one for each row, in order; actual prices if every row has its `price`."""

    predictions: list[Dollars]
    intervals: list[tuple[Dollars, Dollars]]
    from_history: list[FromHistory]
    predictors: list[Predictor]
    warnings: list[Warned]
    model_version: str
    actuals: list[Dollars] | UnsetType = UNSET


class Explained(Struct):
    """One price: `base` and all contributions add up to `prediction`. From history, the base is the last known price
    with the growth that is usual; else it is the price before anything is known of the row."""

    prediction: Dollars
    base: Dollars
    from_history: FromHistory
    predictor: Predictor
    contributions: dict[str, float]
    factors: list[str]


class Explanations(Struct):
    """Explanations, one for each row, in order."""

    explanations: list[Explained]
    model_version: str


class Scored(Struct):
    """MLflow's answer."""

    predictions: list[Dollars]


class PredictedRow(Struct):
    """One row of `monthly_predictions`."""

    date: date
    zipcode: str
    city_full: str | None
    predicted_price: Dollars
    predicted_low: Dollars
    predicted_high: Dollars
    actual_price: float | None
    model_version: str
    from_history: FromHistory
    predictor: Predictor
    vintage: Vintage
    first_price: Annotated[
        float | None,
        Meta(description="Price of the zip and month in the earliest vintage kept, US dollars; null: not known"),
    ]


class PredictedMonth(Struct):
    """Rows of a month that fit the filters: their count, and the asked ones."""

    month: Month
    rows: int
    offset: int
    predictions: list[PredictedRow]


class Preview(Struct):
    """The newest month."""

    month: Month
    rows: int
    preview: list[PredictedRow]


class Forecast(Struct):
    """One month of `monthly_forecasts`; without an interval (null) where too few outcomes were known."""

    month: Month
    date: date
    horizon: Annotated[int, Meta(ge=HORIZONS[0], le=HORIZONS[-1], description="Months after the origin")]
    predicted_price: Dollars
    predicted_low: float | None
    predicted_high: float | None
    predictor: Annotated[str, Meta(description=f"{PREDICTORS[0]}, or a naive baseline: {', '.join(PREDICTORS[1:])}")]
    explanation: Annotated[str, Meta(description="Whose forecast it is and why, in words")]
    mostly: Annotated[
        str | None, Meta(description="The forecaster that counts most in it; null: made by an earlier version")
    ]


class Forecasts(Struct):
    """Forecasts of one zip from one origin, the last month whose values were used."""

    zipcode: str
    city_full: str | None
    origin: Month
    last_known_price: Dollars
    model_version: str
    vintage: Vintage
    fitted_before: Annotated[
        str | None,
        Meta(description="Month before which everything lies that it was fitted on; null: made by an earlier version"),
    ]
    forecasts: list[Forecast]


class PastMonth(Struct):
    """What is known of a zip in a month; null: not known. Units are those of the raw panel."""

    month: Month
    city_full: str | None
    price: float | None
    median_list_price: float | None
    homes_sold: float | None
    pending_sales: float | None
    new_listings: float | None
    inventory: float | None
    median_dom: float | None
    avg_sale_to_list: float | None
    sold_above_list: float | None


assert {*PastMonth.__struct_fields__, "date", "zipcode"} == {*HISTORY_SCHEMA, "month"}, (
    "a column of the history is left out"
)


class PastMonths(Struct):
    """The known months of a zip, in order, with the metro it was last known under."""

    zipcode: str
    city_full: str | None
    months: list[PastMonth]


class BatchAsked(Struct, forbid_unknown_fields=True):
    """Months to predict; none: all that can be."""

    months: Annotated[list[Month], Meta(min_length=1, max_length=1_200)] | None = None


class Batch(Struct):
    """A run of `predictions_job`: `launched` is false if it ran already when it was asked for."""

    run_id: str
    months: list[Month]
    status: str
    status_url: str
    launched: bool = False


class Batches(Struct):
    """The first run at the top; months that do not follow each other need a run for each stretch."""

    run_id: str
    months: list[Month]
    status: str
    status_url: str
    launched: bool
    runs: list[Batch]


ROWS_SCHEMA: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/RawRow"}}
"""A list of raw rows."""

EXAMPLE: list[dict[str, Any]] = [
    {
        "date": "2023-06-30",
        "zipcode": "02139",
        "city_full": "Boston-Cambridge-Newton",
        "median_list_price": 850_000,
        "median_list_ppsf": 640,
        "inventory": 40,
        "median_dom": 25,
        "Median Rent": 2_100,
        "Per Capita Income": 65_000,
    }
]
"""A row that can be predicted as it stands."""

FORECASTS_EXAMPLE: dict[str, Any] = {
    "zipcode": "02139",
    "city_full": "Boston-Cambridge-Newton",
    "origin": "2023-12",
    "last_known_price": 903_000.0,
    "model_version": "forecast-0123456789ab",
    "vintage": "zillow 2024-01-18T10-45-00Z",
    "fitted_before": "2023-10",
    "forecasts": [
        {
            "month": "2024-01",
            "date": "2024-01-31",
            "horizon": 1,
            "predicted_price": 907_000.0,
            "predicted_low": 902_000.0,
            "predicted_high": 912_000.0,
            "predictor": "forecast_model",
            "explanation": "The model's, several forecasters by how well each did lately 1 month ahead, "
            "mostly ridge regression",
            "mostly": "ridge",
        }
    ],
}
"""An answer of `/forecasts/{zipcode}`."""

PAST_EXAMPLE: dict[str, Any] = {
    "zipcode": "02139",
    "city_full": "Boston-Cambridge-Newton",
    "months": [
        {
            "month": "2023-12",
            "city_full": "Boston-Cambridge-Newton",
            "price": 903_000.0,
            "median_list_price": 899_000.0,
            "homes_sold": 21.0,
            "pending_sales": 17.0,
            "new_listings": 15.0,
            "inventory": 34.0,
            "median_dom": 28.0,
            "avg_sale_to_list": 1.01,
            "sold_above_list": 0.4,
        }
    ],
}
"""An answer of `/history/{zipcode}`."""

_STRUCTS: tuple[type[Struct], ...] = tuple(
    value
    for value in tuple(globals().values())
    if isinstance(value, type) and issubclass(value, Struct) and value.__module__ == __name__
)
"""Every struct of this module."""


def components() -> dict[str, Any]:
    """`components.schemas` of OpenAPI."""
    schemas = msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")[1]
    return {"RawRow": ROW_SCHEMA, **schemas}


def answers(struct: type, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that answers with a struct."""
    schema = {"$ref": f"#/components/schemas/{struct.__name__}"}
    return {
        status: {"description": (struct.__doc__ or "").strip(), "content": {"application/json": {"schema": schema}}}
    }
