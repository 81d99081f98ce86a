"""Cleaning of one month: names, gaps, duplicates and impossible rows.

`standardize` changes values and never drops a row: single rows over HTTP go through it too.
`clean_month` also decides which rows of a month stay, and says why the others do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import polars as pl

from housing_assets.core.panel.gaps import null_gaps
from housing_assets.core.panel.metros import METRO_BY_KEY, Metro, metro_key
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES, NUMBERS, RAW_SCHEMA, Zero

CLEAN_SCHEMA: dict[str, pl.DataType] = {
    **RAW_SCHEMA,
    "split": pl.String(),
    "latitude": pl.Float64(),
    "longitude": pl.Float64(),
    "repeats_previous": pl.Boolean(),
}
"""Columns of `cleaned`: the raw ones, the split, the metro's place, and the stale-row flag."""

CLEAN_DESCRIPTIONS: dict[str, str] = {
    "split": "Part of the time split: train, eval or holdout",
    "latitude": "Of the metro (degrees north); null if the metro is not known",
    "longitude": "Of the metro (degrees east); null if the metro is not known",
    "repeats_previous": "Do all figures only repeat the zip's previous month?",
}
"""What the columns are that the raw panel does not have."""


@dataclass(frozen=True)
class CleaningRules:
    """What may be set about cleaning.

    Attributes:
        max_list_price: US dollars; a row with a `median_list_price` above it is quarantined. The default
            is the reference implementation's outlier limit.
    """

    max_list_price: float = 19_000_000


@dataclass(frozen=True)
class CleanMonth:
    """A cleaned month, what was taken out of it, and counts of everything that was done.

    Attributes:
        frame: kept rows, `CLEAN_SCHEMA`, by zipcode.
        quarantined: rows taken out, with their `reason`.
        counts: how many rows (or values, for gaps) each rule touched.
    """

    frame: pl.DataFrame
    quarantined: pl.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def standardize(raw: pl.DataFrame) -> pl.DataFrame:
    """Name metros as the Census does today, place them, and turn 0-coded gaps into nulls.

    Args:
        raw: any rows with the columns of `RAW_SCHEMA`; further columns are kept.

    Returns:
        The same rows in the same order, with `latitude` and `longitude` (degrees; null for a metro that
        the table does not know, whose name is only trimmed).
    """
    names = raw["city_full"].unique().drop_nulls().to_list()
    known: dict[str, Metro] = {n: METRO_BY_KEY[metro_key(n)] for n in names if metro_key(n) in METRO_BY_KEY}
    metro = pl.col("city_full")
    return raw.with_columns(
        *null_gaps(),
        pl.col("date").dt.month_end(),
        pl.col("date").dt.year().cast(pl.Float64).alias("year"),
        metro.replace(names, [known[n].name if n in known else " ".join(n.split()) for n in names]),
        _lookup(metro, {n: m.latitude for n, m in known.items()}).alias("latitude"),
        _lookup(metro, {n: m.longitude for n, m in known.items()}).alias("longitude"),
    )


def _lookup(column: pl.Expr, table: dict[str, float]) -> pl.Expr:
    return column.replace_strict(list(table), list(table.values()), default=None, return_dtype=pl.Float64)


def clean_month(
    raw: pl.DataFrame, previous: pl.DataFrame | None = None, rules: CleaningRules | None = None
) -> CleanMonth:
    """Clean one month of `raw_splits`.

    An exact copy keeps one row. Rows that differ for one zip are all quarantined, since nothing tells
    which is right. Impossible values quarantine their row. A row that only repeats the zip's previous
    month is kept and flagged.

    Args:
        raw: rows of one month, `RAW_SCHEMA` and optionally `split`.
        previous: raw rows of the month before, to find repeats; None if it is not known.
        rules: the limits.
    """
    rules = rules or CleaningRules()
    if "split" not in raw.columns:
        raw = raw.with_columns(pl.lit(None, pl.String).alias("split"))
    rows = standardize(raw)
    gaps = sum((rows[c].null_count() - raw[c].null_count()) for c in NUMBERS if BY_NAME[c].zero is not Zero.VALUE)
    respelled = int(raw["city_full"].ne_missing(rows["city_full"]).sum())
    unique = _without_copies(rows, COLUMN_NAMES)
    suspect = unique.select(_suspect(rules)).to_series()
    # In one chunk: `pl.format` of polars 2.1 panics on several (pola-rs/polars issue 25339).
    judged = unique.filter(suspect).rechunk().with_columns(_quarantine_reason(rules).alias("reason"))
    quarantined = judged.sort(*COLUMN_NAMES, nulls_last=True)
    kept = unique.filter(~suspect).sort("zipcode")
    kept = kept.with_columns(_repeats(kept, previous)).select(CLEAN_SCHEMA.keys())
    by_reason = quarantined["reason"].str.extract(r"^([^:]+)").value_counts()
    return CleanMonth(
        frame=kept,
        quarantined=quarantined.select(*COLUMN_NAMES, "split", "reason"),
        counts={
            "rows in": raw.height,
            "rows kept": kept.height,
            "metro names normalized": respelled,
            "metros unknown": int(rows["latitude"].null_count()),
            "0-coded gaps made missing": gaps,
            "exact copies dropped": raw.height - unique.height,
            "repeats of the previous month": int(kept["repeats_previous"].sum()),
            **{f"quarantined, {reason}": n for reason, n in sorted(by_reason.rows())},
        },
    )


def _without_copies(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """One row of those that are the same in some columns, of which `zipcode` is one."""
    several = rows["zipcode"].is_duplicated()
    # All columns are compared of few rows alone: of a whole month that takes longer than all the rest.
    once = rows.filter(several).unique(subset=list(columns), keep="first", maintain_order=True)
    return pl.concat([rows.filter(~several), once])


@cache
def _broken_rules(rules: CleaningRules) -> list[tuple[pl.Expr, pl.Expr]]:
    """What a row may break, the gravest first: the condition, and words that name column, value and limit."""
    list_price = pl.col("median_list_price")
    found = [
        (
            pl.col("zipcode").is_duplicated(),
            pl.format("conflict: {} different rows for this zip and month", pl.len().over("zipcode")),
        ),
        (
            (list_price > rules.max_list_price) & list_price.is_not_nan(),
            pl.format(f"list price over the limit: median_list_price {{}} > {rules.max_list_price:.0f}", list_price),
        ),
    ]
    for name in NUMBERS:
        column, value = BY_NAME[name], pl.col(name)
        told = f"impossible value: {name} {{}} outside {column.low:g} to {column.high:g}"
        found.append((~value.is_between(column.low, column.high), pl.format(told, value)))
    return found


@cache
def _suspect(rules: CleaningRules) -> pl.Expr:
    """Does a row break any rule? Cheap to ask of every row, where a reason is put in words for few."""
    return pl.any_horizontal(broken for broken, _ in _broken_rules(rules)).fill_null(False)


@cache
def _quarantine_reason(rules: CleaningRules) -> pl.Expr:
    """The first rule that a suspect row breaks, in words."""
    return pl.coalesce(pl.when(broken).then(told) for broken, told in _broken_rules(rules))


def _repeats(kept: pl.DataFrame, previous: pl.DataFrame | None) -> pl.Series:
    name = "repeats_previous"
    compared = [c for c in NUMBERS if c != "year" and kept[c].null_count() < kept.height]
    if previous is None or previous.is_empty() or not compared:
        return pl.repeat(False, kept.height, dtype=pl.Boolean, eager=True).alias(name)
    # Exact copies go first, then the zips whose rows conflict.
    before = _without_copies(previous.with_columns(null_gaps()), ["zipcode", *compared])
    before = before.filter(~pl.col("zipcode").is_duplicated())
    same = kept.join(before, on=["zipcode", *compared], how="semi", nulls_equal=True)["zipcode"]
    return kept["zipcode"].is_in(same.implode()).alias(name)
