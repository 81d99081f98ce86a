"""What Dagster loads."""

from housing_assets.orchestration.build import build_definitions

defs = build_definitions()
