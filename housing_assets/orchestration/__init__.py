"""Everything of Dagster: assets, checks, automation, resources, and what builds the definitions."""
