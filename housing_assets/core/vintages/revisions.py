"""What a new vintage changed of the months that an older one had, and whether that can be a revision.

Publishers restate the past: an index is fitted again with every publication, late sales are added. That is the normal
case and passes. Changes are relative, |new / old - 1|, as fractions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from housing_assets.core.months import describe_months, month_of, month_range
from housing_assets.core.panel.schema import COLUMNS, Role

COMPARED: tuple[str, ...] = ("price", *(c.name for c in COLUMNS if c.role is Role.MARKET))
"""Columns whose revisions are measured, where both vintages have them."""

REVISIONS_SCHEMA: dict[str, pl.DataType] = {
    "month": pl.String(),
    "column": pl.String(),
    "old_zips": pl.Int64(),
    "new_zips": pl.Int64(),
    "zips_in_both": pl.Int64(),
    "zips_gained": pl.Int64(),
    "zips_lost": pl.Int64(),
    "share_changed": pl.Float64(),
    "median_change": pl.Float64(),
    "p95_change": pl.Float64(),
    "most_change": pl.Float64(),
    "most_zip": pl.String(),
    "median_ratio": pl.Float64(),
}
"""Of a revision table. A zip counts where the column has a value; shares and changes are null without a common zip."""

SAME = 1e-9
"""Relative change up to which a value is the same: a publisher's last printed digit."""
UNUSUAL_MEDIAN_PRICE = 0.05
"""Median price change of a month above which a revision is unusual: HouseTS differs from Zillow's later vintages by
about 3%, after years of refits."""
UNUSUAL_P95_PRICE = 0.15
"""95th percentile of the price changes of a month above which a revision is unusual: three times the limit of the
median, as the tail of a normal spread is."""
UNUSUAL_MEDIAN_MARKET = 0.10
"""Median change of a market column over its months above which a revision is unusual: late sales add a few percent."""
UNUSUAL_ZIPS_LOST = 0.02
"""Share of a vintage's zips above which their loss is unusual: publishers drop a few that have too few sales."""
IMPOSSIBLE_RATIO = 5.0
"""Factor between old and new that is another unit: dollars and thousands differ by 1,000, shares and percent by 100."""
IMPOSSIBLE_ZIPS_LOST = 0.25
"""Share of a vintage's zips above which a file is incomplete: no publisher drops a quarter of the country."""
JUDGED_ZIPS = 20
"""Least common zips of a month whose median and percentile are judged as unusual: those of fewer are noise."""


def month_revisions(month: str, old: pl.DataFrame | None, new: pl.DataFrame | None) -> pl.DataFrame:
    """What one month's figures changed, in the columns of `REVISIONS_SCHEMA`, one row for each compared column.

    Args:
        month: `YYYY-MM`.
        old: its rows in the older vintage; None if it has none. Of several rows of a zip the first counts.
        new: its rows in the newer vintage; None if it has none. The very frame of `old`: nothing has changed.
    """
    have = [frame for frame in (old, new) if frame is not None]
    columns = [c for c in COMPARED if have and all(c in frame.columns for frame in have)]
    if not columns:
        return pl.DataFrame(schema=REVISIONS_SCHEMA)
    if old is not None and old is new:
        zips = old["zipcode"]
        is_strictly_sorted = (zips.slice(1) > zips.head(-1)).all()  # as a vintage's are
        same = old if is_strictly_sorted else old.unique("zipcode", keep="first")
        rows = [_no_revisions(month, same[column]) for column in columns]
    else:
        pair = _by_zip(old, columns, "old").join(_by_zip(new, columns, "new"), on="zipcode", how="full", coalesce=True)
        rows = [_column_revisions(month, pair, column) for column in columns]
    return pl.DataFrame(rows, schema=REVISIONS_SCHEMA)


def revision_table(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Every month's revisions, by month and column, of two vintages in memory.

    See `revisions_of` for vintages that are not, and `REVISIONS_SCHEMA` for the columns.
    """
    before, after = _by_month(old), _by_month(new)
    return revisions_of((month, before.get(month), after.get(month)) for month in sorted({*before, *after}))


def revisions_of(months: Iterable[tuple[str, pl.DataFrame | None, pl.DataFrame | None]]) -> pl.DataFrame:
    """The revision table of months that come one after the other, as `store.vintages.paired_months` gives them."""
    tables = [month_revisions(*month) for month in months]
    return pl.concat(tables) if tables else pl.DataFrame(schema=REVISIONS_SCHEMA)


def _by_month(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    parts = frame.partition_by("date", as_dict=True)
    return {month_of(day[0]): part for day, part in parts.items()}


def _by_zip(frame: pl.DataFrame | None, columns: Sequence[str], age: str) -> pl.DataFrame:
    if frame is None:
        return pl.DataFrame(schema={"zipcode": pl.String(), **{f"{age} {c}": pl.Float64() for c in columns}})
    first = frame.unique("zipcode", keep="first", maintain_order=True)
    return first.select("zipcode", *(pl.col(c).cast(pl.Float64).alias(f"{age} {c}") for c in columns))


def _column_revisions(month: str, pair: pl.DataFrame, column: str) -> dict[str, Any]:
    rows = pair.select("zipcode", old=f"old {column}", new=f"new {column}")
    both = rows.drop_nulls().with_columns(
        ratio=pl.when(pl.col("old") != 0).then(pl.col("new") / pl.col("old")),
        differs=(pl.col("new") - pl.col("old")).abs() > SAME * pl.col("old").abs(),
    )
    both = both.with_columns(change=(pl.col("ratio") - 1).abs())
    old_zips, new_zips = rows["old"].count(), rows["new"].count()
    most = both.drop_nulls("change").sort("change", "zipcode", descending=[True, False]).head(1)
    return {
        "month": month,
        "column": column,
        "old_zips": old_zips,
        "new_zips": new_zips,
        "zips_in_both": both.height,
        "zips_gained": new_zips - both.height,
        "zips_lost": old_zips - both.height,
        "share_changed": both["differs"].mean(),
        "median_change": both["change"].median(),
        "p95_change": both["change"].quantile(0.95, "linear"),
        "most_change": most["change"].max(),
        "most_zip": most["zipcode"][0] if most.height and most["change"][0] > SAME else None,
        "median_ratio": both["ratio"].median(),
    }


def _no_revisions(month: str, values: pl.Series) -> dict[str, Any]:
    """What `_column_revisions` says of a month whose values are the same as before."""
    zips, change, ratio = values.count(), None, None
    if (values != 0).any():
        change, ratio = 0.0, 1.0
    return {
        "month": month,
        "column": values.name,
        **dict.fromkeys(("old_zips", "new_zips", "zips_in_both"), zips),
        "zips_gained": 0,
        "zips_lost": 0,
        "share_changed": 0.0 if zips else None,
        **dict.fromkeys(("median_change", "p95_change", "most_change"), change),
        "most_zip": None,
        "median_ratio": ratio,
    }


# ---------------------------------------------------------------- the verdict


@dataclass(frozen=True)
class Finding:
    """One thing that is unusual or impossible about a new vintage.

    Attributes:
        rule: its name, such as `months_stay`.
        text: what, where, the limit and the remedy.
    """

    rule: str
    text: str


@dataclass(frozen=True)
class RevisionVerdict:
    """What is said of a new vintage.

    Attributes:
        blocks: why it cannot be a revision of the one before it; empty if it can.
        warnings: what is unusual about it.
    """

    blocks: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        return " ".join(finding.text for finding in (*self.blocks, *self.warnings))


def judge_revision(
    table: pl.DataFrame,
    source: str,
    old_published: datetime | None = None,
    new_published: datetime | None = None,
) -> RevisionVerdict:
    """Whether a new vintage can be a revision of the one before it, and whether it is a usual one.

    Args:
        table: `revision_table` of the two.
        source: its name, for messages.
        old_published, new_published: when their publishers wrote them, where that is known.
    """
    dated = [_older_file(table, source, old_published, new_published)]
    blocks = [*dated, *_lost_months(table, source), _lost_zips(table, source, block=True), *_other_units(table, source)]
    warnings = [
        _lost_zips(table, source, block=False),
        *_unusual_prices(table, source),
        *_unusual_market(table, source),
    ]
    return RevisionVerdict(tuple(f for f in blocks if f), tuple(f for f in warnings if f))


def lost_columns(old: Sequence[str], new: Sequence[str], source: str) -> Finding | None:
    """What is said of a vintage that lacks compared columns which the one before it has; None if it has all.

    Args:
        old, new: columns of the two.
        source: its name.
    """
    lost = [column for column in COMPARED if column in old and column not in new]
    if not lost:
        return None
    return Finding(
        "columns_stay",
        f"the file of {source} lacks {', '.join(lost)}, which the newest vintage has: the publisher may have given "
        f"{'it' if len(lost) == 1 else 'them'} another name. Rename it back in a copy of the file, and name the copy "
        "in HOUSING_SOURCE_URI. The newest vintage stays in use.",
    )


def _months_with(table: pl.DataFrame, column: str) -> list[str]:
    return table.filter(pl.col(column) > 0)["month"].unique().sort().to_list()


def _older_file(
    table: pl.DataFrame, source: str, old_published: datetime | None, new_published: datetime | None
) -> Finding | None:
    old, new = _months_with(table, "old_zips"), _months_with(table, "new_zips")
    remedy = f"Check the address of {source}: it may be a mirror or a copy. The newest vintage stays in use."
    if old and new and new[-1] < old[-1]:
        return Finding(
            "newer_than_the_last",
            f"the file of {source} ends with {new[-1]}, the newest vintage with {old[-1]}: it is an older file. "
            f"{remedy}",
        )
    if old_published and new_published and new_published < old_published:
        return Finding(
            "newer_than_the_last",
            f"the file of {source} was published on {new_published:%Y-%m-%d %H:%M}, the newest vintage on "
            f"{old_published:%Y-%m-%d %H:%M}: it is an older file. {remedy}",
        )
    return None


def _lost_months(table: pl.DataFrame, source: str) -> Iterator[Finding]:
    """Months that the older vintage had and the newer one lacks; and gaps between its own months."""
    old, new = _months_with(table, "old_zips"), _months_with(table, "new_zips")
    if not new:
        yield Finding("months_stay", f"the file of {source} has no figures in common with the newest vintage: "
                      "its columns may have other names. Check what was published.")  # fmt: skip
        return
    within = set(month_range(new[0], new[-1])) - set(new) if old else set()
    lost = sorted({m for m in old if m not in new and m < new[-1]} | within)
    if lost:
        yield Finding(
            "months_stay",
            f"the file of {source} lacks {describe_months(lost)}: a publication adds months and loses none. "
            "Fetch it again, or wait for the next one. The newest vintage stays in use.",
        )


def _lost_zips(table: pl.DataFrame, source: str, block: bool) -> Finding | None:
    """The month and column that lost the largest share of its zips, if it is above the limit and, to warn, no block."""
    common = table.filter(pl.col("old_zips") >= JUDGED_ZIPS if not block else pl.col("old_zips") > 2)
    common = common.filter(pl.col("new_zips") > 0).with_columns(share=pl.col("zips_lost") / pl.col("old_zips"))
    if common.is_empty():
        return None
    worst = common.sort("share", "month", descending=True).row(0, named=True)
    limit = IMPOSSIBLE_ZIPS_LOST if block else UNUSUAL_ZIPS_LOST
    if worst["share"] <= limit or (not block and worst["share"] > IMPOSSIBLE_ZIPS_LOST):
        return None
    text = (
        f"the file of {source} lacks {worst['zips_lost']:,} of {worst['old_zips']:,} zips ({worst['share']:.1%}) that "
        f"had a {worst['column']} in {worst['month']}; the limit is {limit:.0%}."
    )
    remedy = " It is incomplete: fetch it again. The newest vintage stays in use." if block else ""
    return Finding("zips_stay" if block else "few_zips_lost", text + remedy)


def _other_units(table: pl.DataFrame, source: str) -> Iterator[Finding]:
    """Columns that are of another unit: prices in any month, market columns over all months."""
    for (column,), rows in table.filter(pl.col("median_ratio").is_not_null()).group_by("column", maintain_order=True):
        ratios = rows.filter(pl.col("zips_in_both") > 2 if column == "price" else pl.lit(True)).sort("month")
        if column != "price":
            ratios = ratios.select(pl.col("month").first(), pl.col("median_ratio").median()).drop_nulls()
        wrong = ratios.filter(~pl.col("median_ratio").is_between(1 / IMPOSSIBLE_RATIO, IMPOSSIBLE_RATIO))
        if wrong.height:
            ratio, months = float(wrong["median_ratio"].median() or 0.0), wrong["month"].to_list()  # type: ignore[arg-type]
            where = f" in {describe_months(months)}" if column == "price" else ""
            yield Finding(
                "units_stay",
                f"{column} of {source} is {ratio:,.4g} times what it was{where}: another unit{_unit_of(ratio)}, no "
                "revision. Check what was published. The newest vintage stays in use.",
            )


def _unit_of(ratio: float) -> str:
    for factor, words in ((1_000, "dollars and thousands"), (100, "percent and fractions")):
        if abs(ratio / factor - 1) < 0.2 or abs(ratio * factor - 1) < 0.2:
            return f" ({words})"
    return ""


def _unusual_prices(table: pl.DataFrame, source: str) -> Iterator[Finding]:
    judged = table.filter((pl.col("column") == "price") & (pl.col("zips_in_both") >= JUDGED_ZIPS))
    for measure, limit, words in (
        ("median_change", UNUSUAL_MEDIAN_PRICE, "median"),
        ("p95_change", UNUSUAL_P95_PRICE, "95th percentile"),
    ):
        over = judged.filter(pl.col(measure) > limit)
        if over.height:
            worst = over.sort(measure, descending=True).row(0, named=True)
            yield Finding(
                "usual_revision",
                f"prices of {source} were revised by {worst[measure]:.1%} ({words}) in {worst['month']}, above "
                f"{limit:.0%} in {over.height} months: look at the asset `revisions` before you rely on the growth of "
                "those months.",
            )


def _unusual_market(table: pl.DataFrame, source: str) -> Iterator[Finding]:
    rows = table.filter((pl.col("column") != "price") & (pl.col("zips_in_both") >= JUDGED_ZIPS))
    for column, change in rows.group_by("column").agg(pl.col("median_change").median()).sort("column").iter_rows():
        if change is not None and change > UNUSUAL_MEDIAN_MARKET:
            yield Finding(
                "usual_revision",
                f"{column} of {source} was revised by {change:.1%} (median of its months), above "
                f"{UNUSUAL_MEDIAN_MARKET:.0%}: the publisher may count otherwise now. Look at the asset `revisions`.",
            )
