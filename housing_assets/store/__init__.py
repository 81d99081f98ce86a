"""Where things live: every path of the platform, atomic writes, Parquet months, model bundles.

The same code serves a folder and S3. It may import `housing_assets.core` and nothing above itself.
"""
