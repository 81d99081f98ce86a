"""The tags by which Dagster names the months of a run: written and read here alone, also by the API."""

from collections.abc import Mapping, Sequence

from housing_assets.core.months import month_range

FIRST_MONTH_TAG = "dagster/asset_partition_range_start"
LAST_MONTH_TAG = "dagster/asset_partition_range_end"
MONTH_TAG = "dagster/partition"
"""Of a run of one month that Dagster itself started."""


def month_tags(months: Sequence[str]) -> dict[str, str]:
    """Tags of a run over months without a gap."""
    return {FIRST_MONTH_TAG: months[0], LAST_MONTH_TAG: months[-1]}


def tagged_months(tags: Mapping[str, str]) -> list[str]:
    """The months of a run; none for a run without months."""
    first, last = (tags.get(name) or tags.get(MONTH_TAG) for name in (FIRST_MONTH_TAG, LAST_MONTH_TAG))
    return month_range(first, last) if first and last else []
