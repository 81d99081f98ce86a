"""What Dagster loads."""

from housing_assets.build import build_definitions

defs = build_definitions()
