"""Measures of data quality, as pure functions over frames: numbers that `housing_assets.core.rules` has limits for.

A month is measured alone and against the months before it, which pass by one at a time: memory holds one month, the
figures of a year, and the prices of the last three months. What is measured says what it found in words as well:
column, count, limit and an example.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from statistics import median

import numpy as np
import polars as pl

from housing_assets.core.cleaning import CLEAN_SCHEMA, standardize
from housing_assets.core.encoding import ENCODER_SCHEMA, Encoders, fit_encoders
from housing_assets.core.features import FEATURES, KEYS
from housing_assets.core.forecasting import FORECAST_SCHEMA, HORIZONS, PUBLISHED
from housing_assets.core.growth import NAIVE_GROWTH
from housing_assets.core.history import HISTORY_SCHEMA
from housing_assets.core.intervals import CALIBRATION_SCHEMA
from housing_assets.core.metros import is_metro
from housing_assets.core.model import PREDICTION_SCHEMA
from housing_assets.core.months import Split, add_months, describe_months, month_end, month_of, month_range
from housing_assets.core.schema import BY_NAME, NEVER_FEATURES, NUMBERS, RAW_SCHEMA, ZIP_PATTERN, Role, Zero

RAW_SPLITS_SCHEMA: dict[str, pl.DataType] = {**RAW_SCHEMA, "split": pl.String()}
"""Columns of `raw_splits`: the source's, and the part of the time split."""
MATRIX_SCHEMA: dict[str, pl.DataType] = {k: CLEAN_SCHEMA[k] for k in KEYS} | {f: pl.Float32() for f in FEATURES}
"""Columns of `training_features`."""

YEAR = 12
"""Months before that a month is compared with."""
RECENT = 3
"""Months before that a zip's price is compared with: the median of three outlives one bad month."""
JUMP = 0.25
"""Log change of a zip's price that no month of the real sample comes near (its largest is 0.08)."""
FAR = 3.0
"""Factor between a prediction and what the zip cost in the months before."""
_SAME_ERROR = 1e-9
"""Relative difference up to which two errors are the same."""
_FAR_AHEAD = 2.0
"""Factor between a forecast and what the zip costs: no year of the real index comes near."""
SAME = 0.01
"""Relative difference up to which a value is not restated."""
FEW = 5
"""Fewer rows are strays, not a broken month: shares count from here on."""
_MIN_VALUES = 10
"""Fewer values say nothing of a column's median or order."""
_ORDERED = 500
_MIN_ORDERED = 50
"""Fewer zips change places by chance."""
_MANY_UNKNOWN = 0.01
"""A month with more rows of unknown metros does not teach its spellings to the months after it."""
_SLACK = 0.2
"""Loss of correlation up to which the month before is not doubted."""
_STEADY = 0.8
"""Correlation with the month before from which on a column is known to keep its order."""
_WHOLE = "(rows)"

_MEASURED = tuple(n for n in NUMBERS if BY_NAME[n].role is not Role.LABEL)
_SIZED = tuple(n for n in _MEASURED if BY_NAME[n].unit != "share")


@dataclass(frozen=True)
class Measurement:
    """One number about a month (or a table) and a column.

    Attributes:
        month: `YYYY-MM`; empty for an asset without months.
        column: `(rows)` where it is about whole rows.
        measure: which one; `Rule.measure` refers to it.
        observed: the number; NaN where it cannot be known yet.
        told: what was found, in words, for when a rule is broken.
    """

    month: str
    column: str
    measure: str
    observed: float
    told: str


@dataclass
class _Sheet:
    """Collects the measurements of one month."""

    month: str
    frame: pl.DataFrame
    found: list[Measurement] = field(default_factory=list)

    def add(self, measure: str, observed: float | None, told: str, column: str = _WHOLE) -> None:
        value = math.nan if observed is None else float(observed)
        self.found.append(Measurement(self.month, column, measure, value, told))

    def count(self, measure: str, broken: pl.Expr, column: str, what: str) -> None:
        """Rows that meet a condition, with an example."""
        at = self.frame.select(broken.arg_true()).to_series()
        told = f"{at.len()} of {self.frame.height} rows {what}"
        if at.len():
            told += f", for example {self.frame[column][at[0]]}"
        self.add(measure, at.len(), told, column)

    def schema(self, expected: Mapping[str, pl.DataType]) -> bool:
        """Columns and types; False if the rest cannot be measured."""
        actual = dict(self.frame.schema)
        for name, kind in expected.items():
            if name not in actual:
                near = ", ".join(n for n in actual if n not in expected)
                self.add("undeclared", 1, "is missing" + (f"; there is {near} instead" if near else ""), name)
            elif actual[name] != kind:
                self.add("undeclared", 1, f"is {actual[name]}, should be {kind}", name)
        for name in actual.keys() - expected.keys():
            self.add("undeclared", 1, "is not in the contract", name)
        sound = not self.found
        if sound:
            self.add("undeclared", 0, f"all {len(expected)} columns are as declared")
        self.add("rows", self.frame.height, f"{self.frame.height} rows")
        return sound

    def keys_and_dates(self) -> None:
        expected = month_end(self.month)
        days = self.frame["date"]
        self.count("other_dates", pl.col("date").ne_missing(expected), "date", _where(days, expected, self.month))
        self.count("keys_missing", pl.col("zipcode").is_null(), "zipcode", "have no zip code")
        self.count("zip_format", ~pl.col("zipcode").str.contains(ZIP_PATTERN), "zipcode", "are not 5 digits")

    def repeated(self) -> None:
        self.count("repeated_keys", pl.col("zipcode").is_duplicated(), "zipcode", "share their zip with another row")


def _where(days: pl.Series, expected: date, month: str) -> str:
    latest = days.max()
    future = isinstance(latest, date) and latest > expected
    return f"are not dated in {month}" + (", some later" if future else "")


def _share(count: int, of: int) -> float:
    """A share that strays do not count towards."""
    return count / of if of and count >= FEW else 0.0


def _percent(count: int, of: int, what: str) -> str:
    return f"{count} of {of} rows ({count / of if of else 0:.1%}) {what}"


# ---------------------------------------------------------------- the source's months


def _known(name: str) -> pl.Expr:
    """A number that is there: not null, not NaN or infinite, not the 0 of a gap."""
    value = pl.col(name)
    there = value.is_finite()
    if BY_NAME[name].zero is Zero.MISSING:
        there &= value != 0
    return pl.when(there).then(value)


def _impossible(name: str) -> pl.Expr:
    known = _known(name)
    return (known < BY_NAME[name].low) | (known > BY_NAME[name].high)


def _possible(name: str) -> pl.Expr:
    """A known number in the valid range: what cleaning would keep."""
    known = _known(name)
    return pl.when(known.is_between(BY_NAME[name].low, BY_NAME[name].high)).then(known)


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
_RANKS = [_possible(n).rank().cast(pl.Float32).alias(n) for n in _MEASURED]
_ORDERS = [pl.corr(n, f"{n} before").alias(n) for n in _MEASURED]


@dataclass
class Past:
    """What the months before say, to measure a month against; months pass by in order.

    Attributes:
        figures: of up to 12 months: by column what `_FIGURES` and the correlation with the month before gave.
        rows: of these months.
        metros: spellings of these months.
        prices: zip codes and prices of up to 3 months.
        values: the ranks of the last two months' numbers among their zips.
    """

    figures: deque[dict[str, float | None]] = field(default_factory=lambda: deque(maxlen=YEAR))
    rows: deque[int] = field(default_factory=lambda: deque(maxlen=YEAR))
    metros: deque[frozenset[str]] = field(default_factory=lambda: deque(maxlen=YEAR))
    prices: deque[pl.DataFrame] = field(default_factory=lambda: deque(maxlen=RECENT))
    values: deque[pl.DataFrame] = field(default_factory=lambda: deque(maxlen=2))

    def usual(self, name: str) -> float | None:
        """The median of a figure over the months before; None where none has it."""
        there = sorted(v for f in self.figures if (v := f.get(name)) is not None and not math.isnan(v))
        middle = len(there) // 2
        return (there[middle] + there[~middle]) / 2 if there else None


def measure_raw_month(
    frame: pl.DataFrame, month: str, past: Past, accepted: pl.DataFrame | None = None
) -> list[Measurement]:
    """Measure a month of `raw_splits`, and let it join the past.

    Args:
        frame: the month.
        month: `YYYY-MM`.
        past: of the months before it; changed.
        accepted: `cleaned` of the same month as it was made before, of the same source; None if it was not.
    """
    sheet = _Sheet(month, frame)
    if not sheet.schema(RAW_SPLITS_SCHEMA):
        return sheet.found
    sheet.keys_and_dates()
    figures: dict[str, float | None] = frame.select(_KNOWN).select(_FIGURES).row(0, named=True)
    figures |= frame.select(_NOT_FINITE).row(0, named=True)
    one = frame.filter(pl.col("zipcode").is_first_distinct())
    repeats = frame.height - one.height
    sheet.add(
        "repeated_share", _share(repeats, frame.height), _percent(repeats, frame.height, "repeat a zip"), "zipcode"
    )
    _measure_metros(sheet, past)
    for name in _MEASURED:
        _measure_column(sheet, name, figures, past)
    _measure_order(sheet, one, figures, past)
    _measure_against_months_before(sheet, one, past)
    if accepted is not None:
        _measure_restated(sheet, one, accepted)
    past.figures.append(figures)
    past.rows.append(frame.height)
    past.prices.append(one.select("zipcode", _possible("price").alias("price")))
    return sheet.found


def _measure_metros(sheet: _Sheet, past: Past) -> None:
    counts = dict(sheet.frame["city_full"].value_counts().sort("city_full").iter_rows())
    before = frozenset().union(*past.metros)
    unknown = [n for n in counts if n is None or not (n in before or is_metro(n))]
    rows = sum(counts[n] for n in unknown)
    told = _percent(rows, sheet.frame.height, "name a metro that is not known")
    share = rows / sheet.frame.height if sheet.frame.height else None
    sheet.add("unknown_metros", share, told + (f", for example {unknown[0]!r}" if unknown else ""), "city_full")
    if share is not None and share <= _MANY_UNKNOWN:
        past.metros.append(frozenset(n for n in counts if n is not None))


def _measure_column(sheet: _Sheet, name: str, figures: dict[str, float | None], past: Past) -> None:
    rows = sheet.frame.height
    known = int(figures[f"{name}|known"] or 0)
    not_finite = int(figures[f"{name}|not finite"] or 0)
    sheet.add("not_finite", not_finite, _percent(not_finite, rows, "are NaN or infinite"), name)
    impossible = int(figures[f"{name}|impossible"] or 0)
    column = BY_NAME[name]
    told = _percent(impossible, rows, f"outside {column.low:g} to {column.high:g}")
    if impossible:
        told += f", for example {sheet.frame.filter(_impossible(name))[name][0]:g}"
    sheet.add("impossible_share", _share(impossible, rows), told, name)
    missing = 1 - known / rows if rows else None
    figures[f"{name}|missing"] = missing
    if name == "price":
        sheet.add("price_missing", missing, _percent(rows - known, rows, "have no price"), name)
    usual = past.usual(f"{name}|missing")
    if missing is not None and usual is not None:
        rise = missing - usual if rows - known >= FEW else 0.0
        sheet.add("missing_rise", rise, f"{_percent(rows - known, rows, 'are missing')}, usually {usual:.1%}", name)
    low, high = figures[f"{name}|lowest"], figures[f"{name}|highest"]
    varies = None if known < _MIN_VALUES or low is None or high is None else float(low != high)
    figures[f"{name}|varies"] = varies
    if varies is not None and (past.usual(f"{name}|varies") or 0) > 0:
        sheet.add("frozen", 1 - varies, f"all {known} rows are {low:g}", name)
    usual_median, now = past.usual(f"{name}|median"), figures[f"{name}|median"]
    if name in _SIZED and known >= _MIN_VALUES and usual_median and now and now > 0 and usual_median >= 1:
        size = math.log10(now / usual_median)
        told = f"the median of {known} rows is {now:,.6g}, {10**size:,.4g} times the usual {usual_median:,.6g}"
        sheet.add("magnitude", size, told, name)


def _measure_order(sheet: _Sheet, one: pl.DataFrame, figures: dict[str, float | None], past: Past) -> None:
    """How far each column's order of zips is still that of one of the two months before (rank correlation).

    Of 500 zips or some more: ranks of all of a full-size panel cost more than all other measures together.
    """
    # Powers of two, so that the zips of a panel that grows past one are among those of the month before.
    step = 2 ** max(0, int(math.log2(max(one.height, 1) / _ORDERED)))
    some = one.filter(pl.col("zipcode").str.to_integer(strict=False) % step == 0)
    values = some.select("zipcode", *_RANKS)
    best: dict[str, float] = {}
    usual = {name: past.usual(f"{name}|order") for name in _MEASURED}
    for before in reversed(past.values):
        joined = values.join(before, on="zipcode", suffix=" before")
        if joined.height < _MIN_ORDERED:
            continue
        for name, value in joined.select(_ORDERS).row(0, named=True).items():
            if value is not None and not math.isnan(value):
                best[name] = max(best.get(name, -1.0), value)
        # The month before that decides only where this one seems off: it may itself be the broken one.
        if all((known := usual[name]) is None or known - value < _SLACK for name, value in best.items()):
            break
    for name, value in best.items():
        figures[f"{name}|order"] = value
        known = usual[name]
        if known is not None and known >= _STEADY:
            told = f"{some.height} zips correlate by {value:.2f} with the months before, usually by {known:.2f}"
            sheet.add("order_lost", known - value, told, name)
    past.values.append(values)


def _measure_against_months_before(sheet: _Sheet, one: pl.DataFrame, past: Past) -> None:
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
    if lost.height >= FEW or far.height:
        # The month before may itself be the broken one: the months before it have a say. A zip is missed if it
        # was there in two of three, and its price is their median.
        several = pl.concat(past.prices).group_by("zipcode").agg(pl.len().alias("months"), pl.col("price").median())
        before = several.filter(pl.col("months") >= min(2, len(past.prices)))
        lost, _, _ = _compare_zips(now, before)
        _, both, far = _compare_zips(now, several)
    told = f"{lost.height} of {before.height} zips of the months before are not there"
    sheet.add("zip_coverage", 1 - _share(lost.height, before.height) if before.height else None, told, "zipcode")
    told = f"{far.height} of {both.height} zips jump by more than {math.exp(JUMP) - 1:.0%} from the months before"
    if far.height:
        first = far.sort("zipcode").row(0, named=True)
        told += f", for example {first['zipcode']} from {first['price']:,.0f} to {first['now']:,.0f}"
    sheet.add("jump_share", _share(far.height, both.height), told, "price")
    sheet.add("jumps", far.height, told, "price")


def _compare_zips(now: pl.DataFrame, before: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Zips that are no longer there, those that are, and those of them whose price jumps."""
    joined = before.join(now.with_columns(there=pl.lit(True)), on="zipcode", how="left")
    both = joined.filter("there")
    far = both.filter((pl.col("now") / pl.col("price")).log().abs() > JUMP)
    return joined.filter(pl.col("there").is_null()), both, far


def _measure_restated(sheet: _Sheet, one: pl.DataFrame, accepted: pl.DataFrame) -> None:
    now = standardize(one.drop("split")).select("zipcode", *_MEASURED)
    both = now.join(accepted.select("zipcode", *_MEASURED), on="zipcode", suffix=" before")

    def differs(name: str) -> pl.Expr:
        new, old = pl.col(name), pl.col(f"{name} before")
        near = ((new - old).abs() <= SAME * old.abs()).fill_null(False)
        return (~near & ~(new.is_null() & old.is_null())).sum().alias(name)

    for name, rows in both.select(differs(n) for n in _MEASURED).row(0, named=True).items():
        measure = "price_restated" if name == "price" else "values_restated"
        told = f"{rows} of {both.height} rows differ by more than {SAME:.0%} from the values accepted before"
        sheet.add(measure, _share(rows, both.height), told, name)


def measure_raw_months(
    months: Iterable[tuple[str, pl.DataFrame]],
    judged: Iterable[str],
    accepted: Callable[[str], pl.DataFrame | None] = lambda _: None,
) -> Iterator[tuple[str, int, list[Measurement]]]:
    """Measure months in order; those before the first judged one only serve as the past.

    Args:
        months: in order, `RAW_SPLITS_SCHEMA`.
        judged: months that are measured.
        accepted: `cleaned` of a month as it was made before; None if it was not.

    Yields:
        Month, its rows, its measurements.
    """
    wanted = frozenset(judged)
    past = Past()
    for month, frame in months:
        found = measure_raw_month(frame, month, past, accepted(month) if month in wanted else None)
        if month in wanted:
            yield month, frame.height, found


# ---------------------------------------------------------------- cleaned months


def measure_clean_month(frame: pl.DataFrame, month: str, quarantined: int = 0) -> list[Measurement]:
    """Measure a month of `cleaned`.

    Args:
        frame: the month.
        month: `YYYY-MM`.
        quarantined: rows that cleaning took out of it.
    """
    sheet = _Sheet(month, frame)
    if not sheet.schema(CLEAN_SCHEMA):
        return sheet.found
    sheet.keys_and_dates()
    sheet.repeated()
    outside = {n: (pl.col(n) < BY_NAME[n].low) | (pl.col(n) > BY_NAME[n].high) for n in NUMBERS}
    odd = {n: pl.col(n).is_nan() | pl.col(n).is_infinite() for n in NUMBERS}
    counts = frame.select(
        *(e.sum().alias(f"{n}|outside") for n, e in outside.items()),
        *(e.sum().alias(f"{n}|odd") for n, e in odd.items()),
    ).row(0, named=True)
    for name in NUMBERS:
        low, high = BY_NAME[name].low, BY_NAME[name].high
        for measure, conditions, key, what in (
            ("impossible", outside, "outside", f"outside {low:g} to {high:g}"),
            ("not_finite", odd, "odd", "are NaN or infinite"),
        ):
            if counts[f"{name}|{key}"]:
                sheet.count(measure, conditions[name], name, what)
            else:
                sheet.add(measure, 0, f"0 of {frame.height} rows {what}", name)
    missing = frame["price"].null_count()
    share = missing / frame.height if frame.height else None
    sheet.add("price_missing", share, _percent(missing, frame.height, "have no price"), "price")
    of = frame.height + quarantined
    sheet.add("quarantined_share", _share(quarantined, of), _percent(quarantined, of, "are quarantined"))
    return sheet.found


# ---------------------------------------------------------------- predicted months


def measure_prediction_month(
    frame: pl.DataFrame, month: str, zips: pl.Series, before: pl.DataFrame | None
) -> list[Measurement]:
    """Measure a month of `monthly_predictions`.

    Args:
        frame: the month.
        month: `YYYY-MM`.
        zips: zip codes of `cleaned` of the month.
        before: `zipcode` and `price` of `cleaned` of up to 3 months before; None if there are none.
    """
    sheet = _Sheet(month, frame)
    if not sheet.schema(PREDICTION_SCHEMA):
        return sheet.found
    sheet.keys_and_dates()
    sheet.repeated()
    predicted = set(frame["zipcode"])
    unmatched = sorted(str(z) for z in predicted ^ set(zips))
    told = f"{len(unmatched)} zips are in the month or in the predictions, not in both"
    sheet.add(
        "zips_unmatched", len(unmatched), told + (f", for example {unmatched[0]}" if unmatched else ""), "zipcode"
    )
    price, low, high = (pl.col(f"predicted_{part}") for part in ("price", "low", "high"))
    sheet.count("not_a_price", ~_true(price.is_finite() & (price > 0)), "predicted_price", "are no price")
    sheet.count("inverted", ~_true((low <= price) & (price <= high)), "predicted_price", "lie outside their interval")
    if before is not None and before.height:
        usual = before.group_by("zipcode").agg(pl.col("price").median().alias("usual")).drop_nulls()
        both = frame.join(usual, on="zipcode")
        ratio = (price / pl.col("usual")).log().abs()
        far = both.filter(ratio > math.log(FAR))
        told = f"{far.height} of {both.height} zips are beyond {FAR:g} times what they cost in the months before"
        if far.height:
            first = far.row(0, named=True)
            told += f", for example {first['zipcode']}: {first['predicted_price']:,.0f} after {first['usual']:,.0f}"
        sheet.add("far_share", _share(far.height, both.height), told, "predicted_price")
        sheet.add("far", far.height, told, "predicted_price")
    return sheet.found


def measure_calibration_month(frame: pl.DataFrame, month: str) -> list[Measurement]:
    """Measure a month of `interval_calibration`."""
    sheet = _Sheet(month, frame)
    if not sheet.schema(CALIBRATION_SCHEMA):
        return sheet.found
    low, high = pl.col("log_low"), pl.col("log_high")
    for name in ("log_low", "log_high"):
        sheet.count("not_finite", ~_true(pl.col(name).is_finite()), name, "are not finite")
    sheet.count("inverted", ~_true((low <= 0) & (high >= 0)), "log_low", "do not contain the prediction")
    sheet.count("not_past", ~_true(pl.col("last_month") < month), "last_month", f"rest on {month} or later")
    return sheet.found


# ---------------------------------------------------------------- history and forecasts


def measure_history(table: pl.DataFrame) -> list[Measurement]:
    """Measure `price_history`."""
    sheet = _Sheet("", table)
    if not sheet.schema(HISTORY_SCHEMA):
        return sheet.found
    twice = pl.struct("zipcode", "date").is_duplicated()
    sheet.count("repeated_keys", twice, "zipcode", "are of a zip and month that another row is of")
    there = table.select(pl.col("date").dt.strftime("%Y-%m")).to_series().unique().sort().to_list()
    missing = sorted(set(month_range(there[0], there[-1])) - set(there)) if there else []
    told = f"{len(missing)} months are missing: {describe_months(missing)}"
    sheet.add("months_missing", len(missing), told, "date")
    return sheet.found


def measure_forecast_model(fits: Iterable[str], holdout_start: str, problem: str | None) -> list[Measurement]:
    """Measure `forecast_model`.

    Args:
        fits: months before which its growth models were fitted.
        holdout_start: first month that no training target may lie in.
        problem: what is wrong with its bundle; None: nothing.
    """
    late = [month for month in fits if month > holdout_start]
    told = f"{len(late)} fits look beyond {holdout_start}: {describe_months(late)}"
    return [
        Measurement(
            "", _WHOLE, "bundle_problems", 0 if problem is None else 1, problem or "the bundle is as published"
        ),
        Measurement("", _WHOLE, "months_after_train", len(late), told),
    ]


def measure_forecast_evaluation(graded: pl.DataFrame) -> list[Measurement]:
    """Measure `forecast_evaluation`."""
    held = graded.filter((pl.col("split") == Split.EVAL) & (pl.col("by") == "overall"))
    errors = {(row["horizon"], row["predictor"]): row["mape"] for row in held.iter_rows(named=True)}
    needed = [(h, name) for h in HORIZONS for name in (*NAIVE_GROWTH, PUBLISHED)]
    lacking = [f"{name} {h} months ahead" for h, name in needed if not math.isfinite(errors.get((h, name), math.nan))]
    worse = [
        f"{horizon} months ahead"
        for (horizon, name), error in errors.items()
        if name == PUBLISHED and error > min(e for (h, _), e in errors.items() if h == horizon) * (1 + _SAME_ERROR)
    ]
    told = f"{len(lacking)} errors on eval are missing: {', '.join(lacking[:3]) or 'none'}"
    better = f"{len(worse)} horizons publish what another predictor beats on eval: {', '.join(worse[:3]) or 'none'}"
    return [
        Measurement("", "mape", "figures_missing", len(lacking), told),
        Measurement("", "mape", "published_worse", len(worse), better),
    ]


def measure_forecast_month(frame: pl.DataFrame, month: str) -> list[Measurement]:
    """Measure an origin month of `monthly_forecasts`."""
    sheet = _Sheet(month, frame)
    if not sheet.schema(FORECAST_SCHEMA):
        return sheet.found
    ends = {h: month_end(add_months(month, h)) for h in HORIZONS}
    due = pl.col("horizon").replace_strict(list(ends), list(ends.values()), default=None, return_dtype=pl.Date)
    off = (pl.col("origin") != month) | pl.col("date").ne_missing(due)
    sheet.count("other_dates", off, "date", f"are not from {month} or not their horizon ahead")
    twice = pl.struct("zipcode", "horizon").is_duplicated()
    sheet.count("repeated_keys", twice, "zipcode", "are of a zip and horizon that another row is of")
    lacking = frame.group_by("zipcode").agg(pl.col("horizon").n_unique().alias("n")).filter(pl.col("n") < len(HORIZONS))
    told = f"{lacking.height} zips lack a horizon" + (
        f", for example {lacking['zipcode'][0]}" if lacking.height else ""
    )
    sheet.add("horizons_missing", lacking.height, told, "horizon")
    price, low, high = (pl.col(f"predicted_{part}") for part in ("price", "low", "high"))
    sheet.count("not_a_price", ~_true(price.is_finite() & (price > 0)), "predicted_price", "are no price")
    outside = low.is_not_null() & ~_true((low <= price) & (price <= high))
    sheet.count("inverted", outside, "predicted_price", "lie outside their interval")
    sheet.count("intervals_missing", low.is_null() | high.is_null(), "predicted_low", "have no interval")
    far = frame.filter((price / pl.col("last_known_price")).log().abs() > math.log(_FAR_AHEAD))["zipcode"].n_unique()
    zips = frame["zipcode"].n_unique()
    told = f"{far} of {zips} zips are forecast beyond {_FAR_AHEAD:g} times what they cost"
    sheet.add("far_share", _share(far, zips), told, "predicted_price")
    return sheet.found


# ---------------------------------------------------------------- encoders and matrix


def measure_encoders(
    table: pl.DataFrame, train: Iterable[pl.DataFrame], later: Iterable[pl.DataFrame]
) -> list[Measurement]:
    """Measure the encoder table.

    Args:
        table: the encoders.
        train: `ENCODER_COLUMNS` of the train months: what it must have been fitted on.
        later: `zipcode`, `city_full` of the eval months: what it will have to encode.
    """
    sheet = _Sheet("", table)
    if not sheet.schema(ENCODER_SCHEMA):
        return sheet.found
    sheet.count("not_finite", ~_true(pl.col("encoding").is_finite()), "encoding", "are not finite")
    twice = pl.col("value").is_not_null() & pl.struct("encoder", "value").is_duplicated()
    sheet.count("repeated_keys", twice, "value", "encode a value that another row encodes")
    lacking = set(table["encoder"]) - set(table.filter(pl.col("value").is_null())["encoder"])
    told = f"{len(lacking)} encoders have no encoding of what was never seen: {', '.join(sorted(lacking))}"
    sheet.add("unseen_undefined", len(lacking) + (not table.height), told, "value")
    if any(m.observed for m in sheet.found if m.measure in ("not_finite", "repeated_keys", "unseen_undefined")):
        return sheet.found
    fitted = fit_encoders(train)
    both = table.join(fitted.table, on=["encoder", "value"], how="full", nulls_equal=True, suffix=" fitted")
    off = both.select(
        ((pl.col("encoding") - pl.col("encoding fitted")).abs() / pl.col("encoding fitted").abs().clip(1e-12))
        .fill_null(math.inf)
        .alias("off")
    )["off"]
    wrong = int((off > 1e-9).sum())
    worst = float(off.max())  # type: ignore[arg-type]
    sheet.add("not_of_train", worst, f"{wrong} of {both.height} rows are not those of the train months", "encoding")
    seen = Encoders.from_table(table)
    rows = unseen = 0
    for frame in later:
        known = pl.col("zipcode").is_in(list(seen.zipcode_frequency))
        known &= pl.col("city_full").is_in(list(seen.city_full_target))
        rows += frame.height
        unseen += frame.filter(~known.fill_null(False)).height
    told = _percent(unseen, rows, "of eval have a zip or metro that train never saw")
    sheet.add("unencoded_share", _share(unseen, rows), told, "value")
    return sheet.found


def measure_matrix(frame: pl.DataFrame, months: Iterable[str], holdout_start: str) -> list[Measurement]:
    """Measure `training_features`; the correlations are of train rows.

    Args:
        frame: the matrix with its keys.
        months: every month of train and eval.
        holdout_start: first month that may not be in it.
    """
    sheet = _Sheet("", frame)
    for name in [c for c in frame.columns if c not in KEYS and c in NEVER_FEATURES]:
        sheet.add("barred", 1, "is barred from the features by the schema", name)
    if not sheet.schema(MATRIX_SCHEMA):
        return sheet.found
    sheet.add("barred", 0, "no barred column is among the features")
    first = pl.lit(f"{holdout_start}-01").str.to_date()
    late = (pl.col("split") == Split.HOLDOUT) | (pl.col("date") >= first)
    sheet.count("holdout_rows", late, "date", "are of the holdout")
    there = {month_of(day) for day in frame["date"].unique().drop_nulls()}
    lacking = sorted(set(months) - there)
    sheet.add("months_missing", len(lacking), f"{len(lacking)} months have no row: {', '.join(lacking[:5])}", "date")
    price = pl.col("price")
    sheet.count("not_a_price", ~_true(price.is_finite() & (price > 0)), "price", "have no price")
    train = frame.filter(pl.col("split") == Split.TRAIN, price > 0, price.is_finite())
    for name in FEATURES:
        both = train.select(pl.col(name).cast(pl.Float64).alias("feature"), "price").drop_nulls()
        found = both.select(
            pl.corr("feature", "price").alias("values"),
            pl.corr(pl.col("feature").rank(), pl.col("price").rank()).alias("ranks"),
        ).row(0)
        known = [abs(value) for value in found if value is not None and not math.isnan(value)]
        if known:
            told = f"{train.height} rows of train correlate with the price by {max(known):.4f}"
            sheet.add("price_correlation", max(known), told, name)
    return sheet.found


def _true(condition: pl.Expr) -> pl.Expr:
    """A condition that a missing value does not meet; polars would pass over such a row."""
    return condition.fill_null(False)


# ---------------------------------------------------------------- models


def measure_model(
    months: Iterable[str],
    eval_start: str,
    actual: np.ndarray,
    predicted: np.ndarray,
    bundle_problem: str | None,
    twin_difference: float,
) -> list[Measurement]:
    """Measure a model.

    Args:
        months: it says it was trained on.
        eval_start: first month it may not have been trained on.
        actual, predicted: prices of eval in US dollars, shape (n,).
        bundle_problem: what is wrong with its bundle; None if nothing is.
        twin_difference: of its ONNX twin, in log price.
    """
    sheet = _Sheet("", pl.DataFrame())
    _measure_bundle(sheet, bundle_problem, twin_difference)
    late = sorted(m for m in months if m >= eval_start)
    sheet.add(
        "months_after_train", len(late), f"{len(late)} months from {eval_start} on: {', '.join(late[:5])}", "date"
    )
    wrong = int((~(np.isfinite(predicted) & (predicted > 0))).sum())
    sheet.add("not_a_price", wrong, f"{wrong} of {predicted.size} rows are no price", "predicted_price")
    error = float(np.median(np.abs(predicted - actual) / actual)) if actual.size else None
    sheet.add("median_error", error, f"the median error of {actual.size} rows is {error or 0:.3%}", "predicted_price")
    return sheet.found


def measure_champion(bundle_problem: str | None, twin_difference: float) -> list[Measurement]:
    """Measure the bundle that the pointer names.

    Args:
        bundle_problem: what is wrong with it; None if nothing is.
        twin_difference: of its ONNX twin, in log price.
    """
    sheet = _Sheet("", pl.DataFrame())
    _measure_bundle(sheet, bundle_problem, twin_difference)
    return sheet.found


def _measure_bundle(sheet: _Sheet, problem: str | None, twin_difference: float) -> None:
    """Whether a bundle can be trusted, into a sheet."""
    sheet.add("bundle_problems", int(problem is not None), problem or "hashes and golden rows agree", "bundle")
    told = f"the ONNX twin differs by {twin_difference:.2g} in log price"
    sheet.add("twin_difference", twin_difference, told, "model.onnx")


def measure_evaluation(table: pl.DataFrame, predictors: Iterable[str]) -> list[Measurement]:
    """Measure `model_evaluation`: every predictor has finite errors on eval."""
    sheet = _Sheet("", table)
    overall = table.filter((pl.col("split") == "eval") & (pl.col("by") == "overall"))
    known = set(overall.filter(pl.col("mae").is_finite() & pl.col("rmse").is_finite())["predictor"])
    lacking = sorted(set(predictors) - known)
    told = f"{len(lacking)} predictors have no finite error on eval: {', '.join(lacking)}"
    sheet.add("figures_missing", len(lacking), told, "mae")
    return sheet.found
