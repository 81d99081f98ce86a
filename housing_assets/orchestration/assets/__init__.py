"""The assets, one file a stage: a few lines each over `housing_assets.core`."""
