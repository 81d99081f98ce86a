"""Owners, versions and freshness that assets share."""

from datetime import timedelta

import dagster as dg

CODE_VERSION = "2"
"""Of the computations: raise it when the same inputs give other outputs."""

OWNERS = ["team:data-platform"]

ML_OWNERS = ["team:ml-platform"]

FRESHNESS = dg.FreshnessPolicy.cron(deadline_cron="0 0 16 * *", lower_bound_delta=timedelta(days=15))
"""A monthly asset is materialized in the first half of each month; else the UI shows it as late."""

OWNER_TAG = "housing/process"
"""Tag of a run that `housing run` executes itself: which process does."""
