"""Settings from the environment, and the Dagster instance and databases that they name."""
