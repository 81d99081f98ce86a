"""JSON Schemas and an example, generated from the column contract: what `/docs` shows."""

from typing import Any

import msgspec

from housing_serving.rows import RawRow

_SCHEMAS, _COMPONENTS = msgspec.json.schema_components([RawRow], ref_template="#/components/schemas/{name}")
ROWS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": _COMPONENTS["RawRow"],
}
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
