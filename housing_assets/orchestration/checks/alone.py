"""Checks of what is there, without making it again: what `housing check` calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from housing_assets.config.instance import open_instance
from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError
from housing_assets.core.months import month_range, parse_month_range
from housing_assets.core.quality.rules import CHECKED, Severity, rules_of
from housing_assets.core.run_tags import month_tags
from housing_assets.orchestration.automation.jobs import CHECKS_JOB
from housing_assets.orchestration.build import build_definitions
from housing_assets.orchestration.checks.common import limits
from housing_assets.store.layout import Store

_WIDTH = 110
_RESULTS = {True: "[green]holds[/green]", False: "[yellow]warns[/yellow]"}


def check_alone(settings: Settings, home: Path, asset: str, months: str | None) -> None:
    """Run the checks of an asset, keep their verdicts, and print a table of rule, result, measured value and limit.

    Args:
        settings: of the platform.
        home: DAGSTER_HOME; the run is seen there as every other.
        asset: its name.
        months: `FIRST:LAST`, or one month; None for every month that is there.

    Raises:
        HousingError: no such asset has checks, the months are not there, or a check that blocks is broken.
    """
    if asset not in CHECKED:
        raise HousingError(f"{asset!r} has no checks: choose one of {', '.join(CHECKED)}")
    checked_months = _asked(Store.open(settings.store_uri), asset, months)
    with open_instance(home) as instance:
        job = build_definitions(settings).resolve_job_def(CHECKS_JOB)
        result = job.execute_in_process(
            instance=instance,
            op_selection=[f"{asset}_checks"],
            tags=month_tags(checked_months) if checked_months else {},
            run_config={"loggers": {"progress": {}}},
            raise_on_error=False,
        )
    evaluations = {e.asset_check_key.name: e for e in result.get_asset_check_evaluations()}
    if not evaluations:
        raise HousingError(f"{asset} could not be checked: {_reason(result)}")
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(_table(asset, checked_months, evaluations))
    broken = [e for e in evaluations.values() if not e.passed]
    for evaluation in broken:
        message = f"{evaluation.asset_check_key.name}: {evaluation.description}"
        console.print(escape(message), soft_wrap=True, highlight=False)
    if red := [e.asset_check_key.name for e in broken if e.severity is dg.AssetCheckSeverity.ERROR]:
        raise HousingError(f"{asset} is red: {', '.join(red)}. Nothing is made from it until that is mended")


def _asked(store: Store, asset: str, months: str | None) -> list[str]:
    """The months to check; none for all of them, or of an asset without months."""
    if months is None:
        return []
    stored = store.months(asset).available()
    if not stored:
        raise HousingError(
            f"--months {months}: {asset} has no months; leave --months out, or materialize {asset} first"
        )
    first, last = parse_month_range(months)
    checked_months = month_range(first, last)
    if missing := sorted(set(checked_months) - set(stored)):
        raise HousingError(
            f"--months {months}: {asset} has no {', '.join(missing)}: choose months of {stored[0]} to {stored[-1]}, "
            "or materialize them first"
        )
    return checked_months


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """The innermost error of the step that failed."""
    message = f"see run {result.run_id} in the Dagster UI"
    for event in result.filter_events(lambda event: event.is_step_failure):
        error = event.step_failure_data.error
        while error:
            message = error.message.strip().partition(": ")[2] or error.message.strip()
            error = error.cause
    return message


def _table(asset: str, checked_months: Sequence[str], evaluations: dict[str, dg.AssetCheckEvaluation]) -> Table:
    over = f", {checked_months[0]} to {checked_months[-1]}" if checked_months else ""
    table = Table(title=f"{asset}{over}", title_justify="left")
    for name in ("rule", "result", "measured", "limit", "months that break it"):
        table.add_column(name, overflow="fold")
    for rule in rules_of(asset):
        evaluation = evaluations[rule.name]
        rows = _rows(evaluation)
        breaking = [row for row in rows if row["result"] == "fails"]
        red = not evaluation.passed and rule.severity is Severity.ERROR
        result = "[red]fails[/red]" if red else _RESULTS[evaluation.passed]
        named = ", ".join(row["month"] for row in breaking if row.get("month"))
        table.add_row(rule.name, result, f"{rule.measure} {_extremes(breaking or rows)}", limits(rule), named)
    return table


def _rows(evaluation: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    """The table of months, or of the one file, that a check shows."""
    shown = evaluation.metadata.get("months") or evaluation.metadata.get("measured")
    return [dict(record.data) for record in shown.value.records] if isinstance(shown, dg.TableMetadataValue) else []


def _extremes(rows: Sequence[dict[str, Any]]) -> str:
    values = [row[end] for row in rows for end in ("lowest", "highest") if row[end] is not None]
    if not values:
        return "not yet"
    low, high = (f"{value:.6g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
