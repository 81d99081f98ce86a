"""The tags by which a run says which range of months it is of."""

from collections.abc import Mapping, Sequence

from housing_assets.core.months import month_range

_FIRST, _LAST, _ONE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end", "dagster/partition"


def month_tags(months: Sequence[str]) -> dict[str, str]:
    """Tags of a run over months without a gap."""
    return {_FIRST: months[0], _LAST: months[-1]}


def tagged_months(tags: Mapping[str, str]) -> list[str]:
    """The months of a run; none for a run without months."""
    first, last = (tags.get(name) or tags.get(_ONE) for name in (_FIRST, _LAST))
    return month_range(first, last) if first and last else []
