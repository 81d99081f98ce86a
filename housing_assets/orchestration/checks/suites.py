"""Great Expectations suites, generated from the rules, over measurements.

A suite of some hundred expectations over the rows of one full-size month takes about a second, two minutes for a
panel. So months are measured by `housing_assets.core.quality`, one at a time, and a suite validates the table of
measurements of all months of a run at once: a row for each month and column, a column for each measure, an
expectation for each rule. That takes a third of a second whatever the size of the panel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from housing_assets.core.quality.measurement import Measurement
from housing_assets.core.quality.rules import Rule, Severity, rules_of
from housing_assets.orchestration.checks.quick_import import import_great_expectations

if TYPE_CHECKING:
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.expectations.expectation import Expectation

_INDEX = ("month", "column")


@dataclass(frozen=True)
class Finding:
    """A broken rule in one month and column.

    Attributes:
        rule: that is broken.
        month: `YYYY-MM`; empty for an asset without months.
        column: `(rows)` where it is about whole rows.
        observed: what the rule has limits for.
        told: what was found, in words.
    """

    rule: Rule
    month: str
    column: str
    observed: float
    told: str

    def __str__(self) -> str:
        where = f"{self.month}: " if self.month else ""
        return f"{where}{self.column}: {self.told}"


def judge(asset: str, measurements: Sequence[Measurement]) -> list[Finding]:
    """Have Great Expectations validate measurements against the rules of an asset.

    Returns:
        The broken rules, in the order of the table, then of the measurements.
    """
    rules = rules_of(asset)
    if not measurements:
        return []
    import_great_expectations()
    measurement_by_key = {(m.month, m.column, m.measure): m for m in measurements}
    table = _table(measurements, dict.fromkeys(rule.measure for rule in rules))
    expectations = [_expectation(rule) for rule in rules]
    results = _validate(asset, table, expectations)
    findings = []
    for rule, broken in zip(rules, results, strict=True):
        for month, column in broken:
            cell = measurement_by_key[month, column, rule.measure]
            findings.append(Finding(rule, month, column, cell.observed, cell.told))
    order = {key: i for i, key in enumerate(measurement_by_key)}
    return sorted(findings, key=lambda f: (rules.index(f.rule), order[f.month, f.column, f.rule.measure]))


def _table(measurements: Iterable[Measurement], measures: Iterable[str]) -> pl.DataFrame:
    """One row for each month and column, one column for each measure; null where it was not measured."""
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for m in measurements:
        cells.setdefault((m.month, m.column), {})[m.measure] = m.observed
    rows = [{"month": month, "column": column, **values} for (month, column), values in cells.items()]
    schema = {"month": pl.String(), "column": pl.String()} | {name: pl.Float64() for name in measures}
    return pl.DataFrame(rows, schema=schema).fill_nan(None)


def _expectation(rule: Rule) -> "Expectation":
    from great_expectations.expectations.core.expect_column_values_to_be_between import (
        ExpectColumnValuesToBeBetween,
    )
    from great_expectations.expectations.metadata_types import FailureSeverity

    return ExpectColumnValuesToBeBetween(
        column=rule.measure,
        min_value=rule.low,
        max_value=rule.high,
        severity=FailureSeverity.CRITICAL if rule.severity is Severity.ERROR else FailureSeverity.WARNING,
        notes=rule.protects,
        meta={"rule": rule.name},
    )


@lru_cache(maxsize=1)
def _batches() -> "BatchDefinition":
    """One ephemeral context for the process: to make one costs more than to validate."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("measurements").add_dataframe_asset("measurements")
    return asset.add_batch_definition_whole_dataframe("run")


def _validate(asset: str, table: pl.DataFrame, expectations: Sequence["Expectation"]) -> list[list[tuple[str, str]]]:
    """Month and column of every cell that breaks each expectation."""
    import great_expectations as gx

    suite = gx.ExpectationSuite(asset, expectations=list(expectations))
    frame = table.to_pandas().astype({c: "float64" for c in table.columns if c not in _INDEX})
    batch = _batches().get_batch({"dataframe": frame})
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": list(_INDEX)}
    validation = batch.validate(suite, result_format=wanted)
    by_rule = {}
    for result in validation.results:
        config = result.expectation_config
        if config is None or (result.exception_info or {}).get("raised_exception"):
            raise RuntimeError(f"Great Expectations could not validate {config}: {result.exception_info}")
        cells = [(cell["month"], cell["column"]) for cell in result.result.get("unexpected_index_list") or ()]
        if not result.success and not cells:
            raise RuntimeError(f"Great Expectations names no cell for {config}")
        by_rule[config.meta["rule"]] = cells
    return [by_rule[e.meta["rule"]] for e in expectations if e.meta]
