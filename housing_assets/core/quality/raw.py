"""Measurements of raw months."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

import polars as pl

from housing_assets.core.catalogue import RAW_SPLITS
from housing_assets.core.panel.places import find_area, is_unknown, nearest_name
from housing_assets.core.panel.schema import BY_NAME, NUMBERS, RAW_SCHEMA, Role, Zero
from housing_assets.core.prefetch import prefetch_map
from housing_assets.core.quality.measurement import (
    FEW,
    FRAME_MEASURES,
    KEY_MEASURES,
    Measurement,
    MeasurementRecorder,
    as_percent,
    share_of,
)

MEASURES: Mapping[str, frozenset[str]] = {
    RAW_SPLITS: FRAME_MEASURES
    | KEY_MEASURES
    | {"repeated_share", "unknown_metros", "not_finite", "impossible_share", "price_missing", "missing_rise"}
    | {"frozen", "magnitude", "order_lost", "row_ratio", "zip_coverage", "jump_share", "jumps"}
    | {"metros_lost"},
}
"""Measures taken of each asset."""

RAW_SPLITS_SCHEMA: dict[str, pl.DataType] = {**RAW_SCHEMA, "split": pl.String()}
"""Columns of `raw_splits`: the source's, and the part of the time split."""

YEAR = 12
"""Months before that a month is compared with."""

RECENT = 3
"""Months before that a zip's price is compared with: the median of three outlives one bad month."""

JUMP = 0.25
"""Log change of a zip's price that no month of the real sample comes near (its largest is 0.08)."""

_MIN_VALUES = 10
"""Fewer values say nothing of a column's median or order."""

_ORDERED = 500

_MIN_ORDERED = 50
"""Fewer zips change places by chance."""

_NAMED = 3
"""Unknown metros that a message names."""

_SLACK = 0.2
"""Loss of correlation up to which the month before is not doubted."""

_STEADY = 0.8
"""Correlation with the month before from which on a column is known to keep its order."""

_MEASURED = tuple(n for n in NUMBERS if BY_NAME[n].role is not Role.LABEL)

_SIZED = tuple(n for n in _MEASURED if BY_NAME[n].unit != "share")


# ---------------------------------------------------------------- the source's months


def _known(name: str) -> pl.Expr:
    """A number that is there: not null, not NaN or infinite, not the 0 of a gap."""
    value = pl.col(name)
    is_given = value.is_finite()
    if BY_NAME[name].zero is Zero.MISSING:
        is_given &= value != 0
    return pl.when(is_given).then(value)


def _impossible(name: str) -> pl.Expr:
    value = _known(name)
    return (value < BY_NAME[name].low) | (value > BY_NAME[name].high)


def _possible(name: str) -> pl.Expr:
    """A known number in the valid range: what cleaning would keep."""
    value = pl.col(name)
    is_possible = value.is_between(BY_NAME[name].low, BY_NAME[name].high)
    if BY_NAME[name].zero is Zero.MISSING:
        is_possible &= value != 0
    return pl.when(is_possible).then(value)


def _outside(name: str) -> pl.Expr:
    return (pl.col(name) < BY_NAME[name].low) | (pl.col(name) > BY_NAME[name].high)


# Made once: to build some hundred expressions a month costs as much as to evaluate them.
_KNOWN = [_known(n).alias(n) for n in _MEASURED]

_FIGURES = [
    *(pl.col(n).count().alias(f"{n}|known") for n in _MEASURED),
    *(pl.col(n).median().alias(f"{n}|median") for n in _MEASURED),
    *(pl.col(n).min().alias(f"{n}|lowest") for n in _MEASURED),
    *(pl.col(n).max().alias(f"{n}|highest") for n in _MEASURED),
    *(_outside(n).sum().alias(f"{n}|impossible") for n in _MEASURED),
]

_NOT_FINITE = [(~pl.col(n).is_finite()).sum().alias(f"{n}|not finite") for n in _MEASURED]

_FIRST_IMPOSSIBLE = {n: pl.col(n).filter(_impossible(n)).first() for n in _MEASURED}

_RANKS = [_possible(n).rank().cast(pl.Float32).alias(n) for n in _MEASURED]

_ORDERS = [pl.corr(n, f"{n} before").alias(n) for n in _MEASURED]


@dataclass
class HistoryPriceTables:
    """What the months before say, to measure a month against; months pass by in order.

    Attributes:
        figures: of up to 12 months: by column what `_FIGURES` and the correlation with the month before gave, if any.
        rows: of these months.
        unplaced: of these months, the share of rows that name no metro that is known.
        prices: zip codes and prices of up to 3 months.
        values: the ranks of the last two months' numbers among their zips.
    """

    figures: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=YEAR))
    rows: deque[int] = field(default_factory=lambda: deque(maxlen=YEAR))
    unplaced: deque[float] = field(default_factory=lambda: deque(maxlen=YEAR))
    prices: deque[pl.DataFrame] = field(default_factory=lambda: deque(maxlen=RECENT))
    values: deque[pl.DataFrame] = field(default_factory=lambda: deque(maxlen=2))

    def usual(self, name: str) -> float | None:
        """The median of a figure over the months before; None where none has it."""
        values = sorted([f[name] for f in self.figures if name in f])
        middle = len(values) // 2
        return (values[middle] + values[~middle]) / 2 if values else None


@dataclass(frozen=True)
class _MonthAlone:
    """A month of `raw_splits`, and what it says without the months before it.

    Attributes:
        sheet: with the measurements of this kind.
        figures: by column what `_FIGURES` and `_NOT_FINITE` give; None if the rows cannot be measured.
        one: zip code and numbers, a row for each zip.
        ranks: of the numbers of some zips, by zip.
    """

    sheet: MeasurementRecorder
    figures: dict[str, float | None] | None = None
    one: pl.DataFrame = field(default_factory=pl.DataFrame)
    ranks: pl.DataFrame = field(default_factory=pl.DataFrame)


def _measure_alone(item: tuple[str, pl.DataFrame]) -> _MonthAlone:
    month, frame = item
    sheet = MeasurementRecorder(month, frame)
    if not sheet.schema(RAW_SPLITS_SCHEMA):
        return _MonthAlone(sheet)
    sheet.keys_and_dates()
    figures: dict[str, float | None] = frame.select(_KNOWN).select(_FIGURES).row(0, named=True)
    figures |= frame.select(_NOT_FINITE).row(0, named=True)
    one = frame.select("zipcode", *_MEASURED).filter(pl.col("zipcode").is_first_distinct())
    repeats = frame.height - one.height
    sheet.add(
        "repeated_share", share_of(repeats, frame.height), as_percent(repeats, frame.height, "repeat a zip"), "zipcode"
    )
    # Powers of two, so that the zips of a panel that grows past one are among those of the month before.
    step = 2 ** max(0, int(math.log2(max(one.height, 1) / _ORDERED)))
    some = one.filter(pl.col("zipcode").str.to_integer(strict=False) % step == 0)
    return _MonthAlone(sheet, figures, one, some.select("zipcode", *_RANKS))


def _measure_against(alone: _MonthAlone, past: HistoryPriceTables) -> list[Measurement]:
    """All measurements of a month, which joins the past."""
    sheet, figures = alone.sheet, alone.figures
    if figures is None:
        return sheet.found
    _measure_metros(sheet, past)
    for name in _MEASURED:
        _measure_column(sheet, name, figures, past)
    _measure_order(sheet, alone.ranks, figures, past)
    _measure_against_months_before(sheet, alone.one, past)
    past.figures.append({name: v for name, v in figures.items() if v is not None and not math.isnan(v)})
    past.rows.append(sheet.frame.height)
    past.prices.append(alone.one.select("zipcode", _possible("price").alias("price")))
    return sheet.found


def _measure_metros(sheet: MeasurementRecorder, past: HistoryPriceTables) -> None:
    counts: dict[str | None, int] = dict(sheet.frame["city_full"].value_counts().sort("city_full").iter_rows())
    height = sheet.frame.height
    unknown = sorted(n for n in counts if n is not None and is_unknown(n))
    rows = sum(counts[n] for n in unknown)
    message = as_percent(rows, height, "name a metro that is not known")
    if unknown:
        shown = (f"{n!r} (nearest: {near})" if (near := nearest_name(n)) else repr(n) for n in unknown[:_NAMED])
        message += ", for example " + ", ".join(shown)
    sheet.add("unknown_metros", share_of(rows, height), message, "city_full")
    if not height:
        return
    unplaced = sum(count for n, count in counts.items() if n is None or find_area(n) is None)
    if past.unplaced:
        rise = unplaced / height - min(past.unplaced)
        message = as_percent(unplaced, height, "name no metro that is known")
        sheet.add(
            "metros_lost", rise, f"{message}, in the months before {min(past.unplaced):.1%} at least", "city_full"
        )
    past.unplaced.append(unplaced / height)


def _measure_column(
    sheet: MeasurementRecorder, name: str, figures: dict[str, float | None], past: HistoryPriceTables
) -> None:
    rows = sheet.frame.height
    given = int(figures[f"{name}|known"] or 0)
    not_finite = int(figures[f"{name}|not finite"] or 0)
    sheet.add("not_finite", not_finite, as_percent(not_finite, rows, "are NaN or infinite"), name)
    impossible = int(figures[f"{name}|impossible"] or 0)
    column = BY_NAME[name]
    message = as_percent(impossible, rows, f"outside {column.low:g} to {column.high:g}")
    if impossible:
        message += f", for example {sheet.frame.select(_FIRST_IMPOSSIBLE[name]).item():g}"
    sheet.add("impossible_share", share_of(impossible, rows), message, name)
    missing = 1 - given / rows if rows else None
    figures[f"{name}|missing"] = missing
    if name == "price":
        sheet.add("price_missing", missing, as_percent(rows - given, rows, "have no price"), name)
    usual = past.usual(f"{name}|missing")
    if missing is not None and usual is not None:
        rise = missing - usual if rows - given >= FEW else 0.0
        sheet.add("missing_rise", rise, f"{as_percent(rows - given, rows, 'are missing')}, usually {usual:.1%}", name)
    low, high = figures[f"{name}|lowest"], figures[f"{name}|highest"]
    varies = None if given < _MIN_VALUES or low is None or high is None else float(low != high)
    figures[f"{name}|varies"] = varies
    if varies is not None and (past.usual(f"{name}|varies") or 0) > 0:
        sheet.add("frozen", 1 - varies, f"all {given} rows are {low:g}", name)
    usual_median, now = past.usual(f"{name}|median"), figures[f"{name}|median"]
    if name in _SIZED and given >= _MIN_VALUES and usual_median and now and now > 0 and usual_median >= 1:
        size = math.log10(now / usual_median)
        message = f"the median of {given} rows is {now:,.6g}, {10**size:,.4g} times the usual {usual_median:,.6g}"
        sheet.add("magnitude", size, message, name)


def _measure_order(
    sheet: MeasurementRecorder, ranks: pl.DataFrame, figures: dict[str, float | None], past: HistoryPriceTables
) -> None:
    """How far each column's order of zips is still that of one of the two months before (rank correlation).

    Of 500 zips or some more: ranks of all of a full-size panel cost more than all other measures together.
    """
    best: dict[str, float] = {}
    usual = {name: past.usual(f"{name}|order") for name in _MEASURED}
    for before in reversed(past.values):
        joined = ranks.join(before, on="zipcode", suffix=" before")
        if joined.height < _MIN_ORDERED:
            continue
        for name, value in joined.select(_ORDERS).row(0, named=True).items():
            if value is not None and not math.isnan(value):
                best[name] = max(best.get(name, -1.0), value)
        # The month before that decides only where this one seems off: it may itself be the broken one.
        if all((expected := usual[name]) is None or expected - value < _SLACK for name, value in best.items()):
            break
    for name, value in best.items():
        figures[f"{name}|order"] = value
        expected = usual[name]
        if expected is not None and expected >= _STEADY:
            message = f"{ranks.height} zips correlate by {value:.2f} with the months before, usually by {expected:.2f}"
            sheet.add("order_lost", expected - value, message, name)
    past.values.append(ranks)


def _measure_against_months_before(sheet: MeasurementRecorder, one: pl.DataFrame, past: HistoryPriceTables) -> None:
    rows = sheet.frame.height
    if past.rows:
        usual = median(past.rows)
        ratio = rows / usual if abs(rows - usual) >= FEW else 1.0
        sheet.add("row_ratio", ratio, f"{rows} rows, usually {usual:g}")
    if not past.prices:
        return
    now = one.select("zipcode", _possible("price").alias("now"))
    before = past.prices[-1]
    lost, both, far = _compare_zips(now, before)
    if lost >= FEW or far.height:
        # The month before may itself be the broken one: the months before it have a say. A zip is missed if it
        # was there in two of three, and its price is their median.
        several = pl.concat(past.prices).group_by("zipcode").agg(pl.len().alias("months"), pl.col("price").median())
        before = several.filter(pl.col("months") >= min(2, len(past.prices)))
        lost, _, _ = _compare_zips(now, before)
        _, both, far = _compare_zips(now, several)
    message = f"{lost} of {before.height} zips of the months before are not there"
    sheet.add("zip_coverage", 1 - share_of(lost, before.height) if before.height else None, message, "zipcode")
    message = f"{far.height} of {both} zips jump by more than {math.exp(JUMP) - 1:.0%} from the months before"
    if far.height:
        first = far.sort("zipcode").row(0, named=True)
        message += f", for example {first['zipcode']} from {first['price']:,.0f} to {first['now']:,.0f}"
    sheet.add("jump_share", share_of(far.height, both), message, "price")
    sheet.add("jumps", far.height, message, "price")


def _compare_zips(now: pl.DataFrame, before: pl.DataFrame) -> tuple[int, int, pl.DataFrame]:
    """How many zips are no longer there, how many are, and those of them whose price jumps."""
    joined = before.join(now.with_columns(there=pl.lit(True)), on="zipcode", how="left")
    lost = joined["there"].null_count()
    return lost, joined.height - lost, joined.filter((pl.col("now") / pl.col("price")).log().abs() > JUMP)


def measure_raw_months(
    months: Iterable[tuple[str, pl.DataFrame]], judged: Iterable[str]
) -> Iterator[tuple[str, int, list[Measurement]]]:
    """Measure months in order; those before the first judged one only serve as the past.

    Args:
        months: in order, `RAW_SPLITS_SCHEMA`.
        judged: months that are measured.

    Yields:
        Month, its rows, its measurements.
    """
    wanted = frozenset(judged)
    past = HistoryPriceTables()
    for alone in prefetch_map(_measure_alone, months, "measure"):
        measurements = _measure_against(alone, past)
        month = alone.sheet.month
        if month in wanted:
            yield month, alone.sheet.frame.height, measurements
