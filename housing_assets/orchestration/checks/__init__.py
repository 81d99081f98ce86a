"""Asset checks, one file a stage. What must hold is in `housing_assets.core.quality`."""
