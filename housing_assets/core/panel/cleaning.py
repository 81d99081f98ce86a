"""Cleaning of one month: names, gaps, duplicates and impossible rows.

`standardize` changes values and never drops a row: single rows over HTTP go through it too.
`clean_month` also decides which rows of a month stay, and says why the others do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import polars as pl

from housing_assets.core.panel.gaps import null_gaps
from housing_assets.core.panel.places import Area, find_area, is_unknown, place_of
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
    "split": "Part of the time split when the month was ingested: train, eval or holdout",
    "latitude": "Of the metro, or of the state for zips of no metro (degrees north); null if neither is known",
    "longitude": "Of the metro, or of the state for zips of no metro (degrees east); null if neither is known",
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
        The same rows in the same order, with `latitude` and `longitude` (degrees). A row that names no metro, or one
        that is not known, is pooled with its state: `Texas (no metro)`, at the state's centre. Where the zip does not
        tell the state either, the name is only trimmed and the place null.
    """
    names = raw["city_full"].unique().drop_nulls().to_list()
    areas = {n: area for n in names if (area := find_area(n)) is not None}
    pooled = _pools(raw, areas)
    metro, of_zip = pl.col("city_full"), pl.col("zipcode")
    unnamed = ~metro.is_in(list(areas)).fill_null(False)
    trimmed = metro.replace(names, [areas[n].name if n in areas else " ".join(n.split()) for n in names])
    in_pool = of_zip.replace_strict(
        list(pooled), [a.name for a in pooled.values()], default=None, return_dtype=pl.String
    )
    return raw.with_columns(
        *null_gaps(),
        pl.col("date").dt.month_end(),
        pl.col("date").dt.year().cast(pl.Float64).alias("year"),
        pl.when(unnamed).then(pl.coalesce(in_pool, trimmed)).otherwise(trimmed).alias("city_full"),
        *(
            pl.when(unnamed)
            .then(_lookup(of_zip, {z: getattr(a, name) for z, a in pooled.items()}))
            .otherwise(_lookup(metro, {n: getattr(a, name) for n, a in areas.items()}))
            .alias(name)
            for name in ("latitude", "longitude")
        ),
    )


def _pools(raw: pl.DataFrame, areas: Mapping[str, Area]) -> dict[str, Area]:
    """By zip, the state's part without a metro, for the rows whose name is of none of some areas."""
    zips = raw.filter(~pl.col("city_full").is_in(list(areas)).fill_null(False))["zipcode"].unique().drop_nulls()
    return {z: area for z in zips.to_list() if (area := place_of(None, z)) is not None}


def _lookup(column: pl.Expr, table: Mapping[str, float | None]) -> pl.Expr:
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
    blank = raw["city_full"].fill_null("").str.strip_chars() == ""
    respelled = int((raw["city_full"].ne_missing(rows["city_full"]) & ~blank).sum())
    unknown = sum(n for name, n in raw["city_full"].value_counts().rows() if is_unknown(name))
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
            "metros unknown": unknown,
            "rows of no metro": int(blank.sum()),
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
    broken_rules = [
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
        reason = f"impossible value: {name} {{}} outside {column.low:g} to {column.high:g}"
        broken_rules.append((~value.is_between(column.low, column.high), pl.format(reason, value)))
    return broken_rules


@cache
def _suspect(rules: CleaningRules) -> pl.Expr:
    """Does a row break any rule? Cheap to ask of every row, where a reason is put in words for few."""
    return pl.any_horizontal(broken for broken, _ in _broken_rules(rules)).fill_null(False)


@cache
def _quarantine_reason(rules: CleaningRules) -> pl.Expr:
    """The first rule that a suspect row breaks, in words."""
    return pl.coalesce(pl.when(broken).then(reason) for broken, reason in _broken_rules(rules))


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
