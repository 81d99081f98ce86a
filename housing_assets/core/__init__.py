"""Pure functions over frames. Nothing here knows of Dagster, MLflow, HTTP or where files live."""
