"""The dashboard. It may import `housing_assets.core` and `housing_assets.store`, and nothing else of it."""
