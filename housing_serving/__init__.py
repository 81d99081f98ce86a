"""The HTTP API: FastAPI over what the store has.

What belongs here: everything that knows HTTP, and rows as clients send them. It may import `housing_assets.core`,
`housing_assets.store` and `housing_assets.config.environment`, and nothing else of `housing_assets`. It loads neither
Dagster nor MLflow, so that it starts in seconds and stays small.

A request passes `middleware` and a module of `routes`. A body becomes `rows.Rows` through `json_rows`, `arrow` or
`invocations`. `model_holder` has the `predictor` that answers it.
"""

import os

# Read by polars' allocator, jemalloc, when polars is imported: one arena for all threads, as `memory` has it of glibc.
os.environ.setdefault("_RJEM_MALLOC_CONF", "narenas:1")
