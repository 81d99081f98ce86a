"""From measurements to asset checks: one check for each rule of an asset, one verdict for each month."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import polars as pl

from housing_assets.core.quality.measurement import Measurement
from housing_assets.core.quality.rules import Rule, Severity, rules_of
from housing_assets.orchestration.checks.suites import Finding, judge
from housing_assets.orchestration.metadata import table
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import Problem, State, Verdict, data_stamps, read_verdicts, write_verdicts

MONTHS = "months"
"""Config of the checks of a monthly asset."""
_MONTHS_CONFIG = {
    MONTHS: dg.Field(
        str,
        default_value="",
        is_required=False,
        description="FIRST:LAST or one month (YYYY-MM) to check; empty: the run's own months, or all that are there",
    )
}
_MOST_LINES = 20

Measured = Iterable[tuple[str, int, Sequence[Measurement]]]
"""Month (empty: no months), its rows, its measurements."""


def checks_of(
    asset: str,
    measure: Callable[[dg.AssetCheckExecutionContext], Measured],
    source: str = "",
    rests_on: Callable[[Store], Callable[[str], str]] = lambda _: lambda _: "",
    monthly: bool = False,
) -> dg.AssetChecksDefinition:
    """Every check of an asset, evaluated together: what is measured is measured once.

    They run after the asset in its run, and alone. A run of some of them alone shows these, but judges all rules: a
    verdict says of a month what every rule says of it.

    Args:
        asset: its name.
        measure: gives the measurements of the months of a run.
        source: what the months come from, kept in the verdicts.
        rests_on: gives for a store what each month was made from, kept in the verdicts.
        monthly: has the asset months? Then they can be chosen in the config of the step.
    """
    specs = [
        dg.AssetCheckSpec(
            rule.name,
            asset=asset,
            blocking=rule.severity is Severity.ERROR,
            description=f"{rule.protects}. When broken: {rule.remedy}.",
        )
        for rule in rules_of(asset)
    ]

    @dg.multi_asset_check(
        name=f"{asset}_checks",
        specs=specs,
        required_resource_keys={"store"},
        config_schema=_MONTHS_CONFIG if monthly else {},
        # Dagster launches checks without their asset only if each of them can be.
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        store: Store = context.resources.store
        # Before anything is read: a file that changes meanwhile is newer than its check.
        stamps = data_stamps(store, asset)
        months: dict[str, int] = {}
        measured: list[Measurement] = []
        for month, rows, found in measure(context):
            months[month] = rows
            measured += found
        findings = judge(asset, measured)
        verdicts = _verdicts(asset, months, findings, stamps, source, context.run.run_id)
        made_from = _origins(context, asset, verdicts, rests_on(store))
        write_verdicts(store, [replace(verdict, rests_on=made_from(verdict.month)) for verdict in verdicts])
        by_measure: dict[str, list[Measurement]] = {}
        for m in measured:
            by_measure.setdefault(m.measure, []).append(m)
        chosen = {key.name for key in context.op_execution_context.selected_asset_check_keys}
        for rule in rules_of(asset):
            broken = [f for f in findings if f.rule is rule]
            if rule.name in chosen:
                yield _result(asset, rule, months, by_measure.get(rule.measure, ()), broken)
            elif broken:
                context.log.warning(f"{rule.name}, which was not asked for, is broken: {broken[0]}")

    return check


def _origins(
    context: dg.AssetCheckExecutionContext, asset: str, verdicts: Sequence[Verdict], now: Callable[[str], str]
) -> Callable[[str], str]:
    """For a month, what it was made from: what is there now, if this run made it.

    A run of checks alone makes nothing: a file that it finds as the check before left it is as old as it was then.
    """
    if dg.AssetKey(asset) in context.op_execution_context.job_def.asset_layer.selected_asset_keys:
        return now
    before = read_verdicts(context.resources.store, asset, [verdict.month for verdict in verdicts])
    kept = {v.month: v.rests_on for v in before.values()}
    unchanged = {v.month for v in verdicts if v.month in before and before[v.month].stamp == v.stamp}
    return lambda month: kept[month] if month in unchanged else now(month)


def _verdicts(
    asset: str,
    months: Mapping[str, int],
    findings: Sequence[Finding],
    stamps: Mapping[str, str],
    source: str,
    run: str,
) -> list[Verdict]:
    verdicts = []
    for month, rows in months.items():
        broken = [f for f in findings if f.month == month]
        hard = any(f.rule.severity is Severity.ERROR for f in broken)
        state = State.RED if hard else State.WARN if broken else State.GREEN
        problems = tuple(Problem(f.rule.name, str(f.rule.severity), f.column, f.told) for f in broken)
        verdicts.append(Verdict(asset, month, state, stamps.get(month, ""), rows, source, run, problems))
    return verdicts


def _result(
    asset: str,
    rule: Rule,
    months: Mapping[str, int],
    measured: Iterable[Measurement],
    findings: Sequence[Finding],
) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if rule.severity is Severity.ERROR else dg.AssetCheckSeverity.WARN
    if not months:
        return dg.AssetCheckResult(
            asset_key=asset, check_name=rule.name, passed=False, severity=severity, description="nothing to check"
        )
    told = [f"{f}." for f in findings[:_MOST_LINES]]
    if len(findings) > _MOST_LINES:
        told.append(f"And {len(findings) - _MOST_LINES} more.")
    if findings:
        told.append(f"{rule.remedy}.")
        sound = sorted(set(months) - {f.month for f in findings})
        if sound and sound != [""]:
            told.append(f"The other {len(sound)} months keep this rule.")
    of_months = any(months)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=rule.name,
        passed=not findings,
        severity=severity,
        description="\n".join(told) or (f"{len(months)} months are sound" if of_months else "sound"),
        metadata={
            "limits": f"{rule.measure}: {limits(rule)}",
            ("months" if of_months else "measured"): table(_by_month(months, measured, findings)),
        },
    )


def limits(rule: Rule) -> str:
    """The limits of a rule in words."""
    parts = [f"at least {rule.low:g}"] if rule.low is not None else []
    parts += [f"at most {rule.high:g}"] if rule.high is not None else []
    return " and ".join(parts)


def _by_month(months: Mapping[str, int], measured: Iterable[Measurement], findings: Sequence[Finding]) -> pl.DataFrame:
    """A row for each month, failing ones first, then the newest: its rows, the measure's extremes, what fails."""
    values: dict[str, list[float]] = {month: [] for month in months}
    for m in measured:
        if not math.isnan(m.observed):
            values[m.month].append(m.observed)
    failing: dict[str, list[str]] = {}
    for f in findings:
        failing.setdefault(f.month, []).append(f"{f.column}: {f.told}")
    rows: list[dict[str, Any]] = [
        {
            "month": month,
            "rows": rows,
            "result": "fails" if month in failing else "holds" if values[month] else "not judged yet",
            "lowest": min(values[month], default=None),
            "highest": max(values[month], default=None),
            "failing": "; ".join(failing.get(month, ())),
        }
        for month, rows in sorted(months.items(), key=lambda item: (item[0] in failing, item[0]), reverse=True)
    ]
    schema = {
        "month": pl.String(),
        "rows": pl.Int64(),
        "result": pl.String(),
        "lowest": pl.Float64(),
        "highest": pl.Float64(),
        "failing": pl.String(),
    }
    frame = pl.DataFrame(rows, schema=schema)
    return frame if any(months) else frame.drop("month")
