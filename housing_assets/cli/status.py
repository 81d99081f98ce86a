"""`housing status`: what there is, how good it is, and which checks fail."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from housing_assets.cli.metrics import metrics_text
from housing_assets.config.instance import open_instance
from housing_assets.config.settings import Settings
from housing_assets.core.addresses import without_password
from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.catalogue import (
    ASSETS,
    FORECAST_EVALUATION,
    MODEL_EVALUATION,
    MONTHLY,
    MONTHLY_PREDICTIONS,
    PREDICTED,
    REPORTS,
)
from housing_assets.core.errors import BundleError, StoreError, UnknownPanelError
from housing_assets.core.evaluation.metrics import price_metrics
from housing_assets.core.forecasting.grading import best_naive
from housing_assets.core.forecasting.schema import PUBLISHED
from housing_assets.core.months import TimeSplit, describe_months
from housing_assets.core.quality.rules import CHECKED
from housing_assets.ingestion.panel_split import known_split
from housing_assets.orchestration.build import build_definitions
from housing_assets.orchestration.checks.state import last_evaluations
from housing_assets.orchestration.operations import Operations, read_operations
from housing_assets.orchestration.quality_page import PAGE
from housing_assets.store.bundles import load_bundle
from housing_assets.store.histories import stale_months
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, champion_version, provisional_reason

STATUS_FORMAT = 1
"""Of `housing status --json`: raised when a name of it goes or means something else."""

_MIN_WIDTH = 110

_LISTED = tuple(
    name for asset in ASSETS.values() if asset.key in MONTHLY and asset.key not in REPORTS
    for name in (asset.key, *asset.files_beside)
)  # fmt: skip
"""Names in the store whose months are listed: monthly assets but for the reports on them, and their further files."""


def last_checks(instance: dg.DagsterInstance, definitions: dg.Definitions) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of every check, by `asset: check`."""
    return last_evaluations(instance, definitions.resolve_asset_graph().asset_check_keys)


def show_status(settings: Settings, home: Path, as_json: bool = False, as_metrics: bool = False) -> list[str]:
    """Print how everything stands: as tables, or in one of the formats for programs.

    Args:
        settings: of the platform.
        home: DAGSTER_HOME.
        as_json: print one JSON object.
        as_metrics: print Prometheus' text format.

    Returns:
        What needs attention, a sentence each.
    """
    definitions = build_definitions(settings)
    with open_instance(home) as instance:
        operations = read_operations(settings, Store.open(settings.store_uri), instance, definitions)
        if as_json:
            print(json.dumps(status_object(settings, operations), indent=2))
        elif as_metrics:
            print(metrics_text(operations), end="")
        else:
            print_status(settings, home, last_checks(instance, definitions))
            print_operations(operations)
    return operations.attention()


def status_object(settings: Settings, operations: Operations) -> dict[str, Any]:
    """What `housing status --json` prints: times in ISO 8601 with their zone, null where something is not known."""
    attention = operations.attention()
    return {
        "format": STATUS_FORMAT,
        "ok": not attention,
        "attention": attention,
        "store": settings.store_uri,
        "source": without_password(settings.source_label),
        **_plain(asdict(operations)),
    }


def _plain(value: Any) -> Any:
    """The same in types that JSON has."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def print_operations(operations: Operations) -> None:
    """Prints when each job last succeeded, how old each source's vintage is, and what needs attention."""
    console = Console()
    console.width = max(console.width, _MIN_WIDTH)
    table = Table(title="Work", title_justify="left")
    for name in ("job", "last success (UTC)", "last failure (UTC)", "running", "queued"):
        table.add_column(name, justify="right" if name in ("running", "queued") else "left")
    for name, job in operations.jobs.items():
        style = "red" if job.is_failing else ""
        ended = [f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in (job.last_success, job.last_failure)]
        table.add_row(name, *ended, str(job.running or ""), str(job.queued or ""), style=style)
    console.print(table)
    table = Table(title="Sources", title_justify="left")
    for name in ("source", "known since", "age in days", "last month", "months behind today", "next file"):
        table.add_column(name, justify="right" if name in ("age in days", "months behind today") else "left")
    for name, source in operations.sources.items():
        behind = "" if source.months_behind is None else str(source.months_behind)
        expected = f"{source.next_expected}{' (late)' if source.late else ''}"
        days = (f"{source.known_at:%Y-%m-%d}", f"{source.age_days:.0f}")
        table.add_row(name, *days, source.last_month, behind, expected)
    console.print(table)
    for sentence in operations.attention():
        console.print(f"[yellow]attention[/yellow]    {escape(sentence)}", soft_wrap=True, highlight=False)


def print_status(settings: Settings, home: Path, checks: dict[str, dg.AssetCheckEvaluation]) -> None:
    """Prints what there is of each asset, its figures, its forecasts and the checks that fail."""
    console = Console()
    console.width = max(console.width, _MIN_WIDTH)
    store = Store.open(settings.store_uri)
    source = "synthetic sample" if settings.uses_sample else settings.source_uri
    console.print(_asset_table(store, f"Housing prices by month: {without_password(source)}"))
    version = champion_version(store)
    if version:
        predictions = _known_predictions(store)
        console.print(_metric_table(store, predictions))
        console.print(_coverage_line(predictions), highlight=False)
    if champion_version(store, FORECAST_POINTER):
        console.print(_forecast_table(store))
    console.print(_check_table(checks))
    split, described_split = _split(settings, store)
    for asset in PREDICTED:
        # A month from before the holdout keeps what was predicted when it was new.
        if stale := [month for month in stale_months(store, asset) if not split or month >= split.holdout_start]:
            told = f"{asset} of {describe_months(stale)} rests on restated months: `housing run` makes it anew"
            console.print(f"[yellow]stale[/yellow]        {told}", soft_wrap=True, highlight=False)
    provisional = provisional_reason(store, version) if version else ""
    for name, where in (
        ("split", described_split),
        ("champion", f"{version} (provisional)" if provisional else version or "none"),
        *((("published", told),) if (told := _published(store, version)) else ()),
        ("promotion", _last_decision(store, forecasts=False)),
        ("forecasts", champion_version(store, FORECAST_POINTER) or "none"),
        ("promotion", _last_decision(store, forecasts=True)),
        ("data quality", f"{store.uri}/{PAGE}"),
        ("store", store.uri),
        ("DAGSTER_HOME", str(home)),
        ("MLflow", without_password(settings.mlflow_tracking_uri)),
    ):
        console.print(f"{name:<13}{where}", soft_wrap=True, highlight=False)


def _split(settings: Settings, store: Store) -> tuple[TimeSplit | None, str]:
    """The time split, None while it is not known, and what there is to say of it."""
    try:
        known = known_split(settings, store)
        split = known.split
    except UnknownPanelError as error:
        return None, str(error)
    months = f"train < {split.eval_start} <= eval < {split.holdout_start} <= holdout"
    counted = f", counted from {known.newest_month}: {settings.eval_start}, {settings.holdout_start}"
    return split, months + (counted if known.moves else "")


def _asset_table(store: Store, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("asset", "months", "rows"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for asset in _LISTED:
        months = store.months(asset)
        available = months.available()
        rows = months.count_rows(available, "city_full")
        table.add_row(asset, f"{describe_months(available)} ({len(available)})", f"{rows:,}")
    return table


def _metric_table(store: Store, predictions: pl.DataFrame) -> Table:
    """The models and the naive baselines on the same rows, and the predicted months as they are on file.

    Args:
        store: with the models' evaluation.
        predictions: `_known_predictions` of it.
    """
    table = Table(title="Errors, prices in US dollars", title_justify="left")
    for name in ("split", "predictor", "MAE", "RMSE", "R2", "mean %", "median %", "in interval", "width"):
        table.add_column(name, justify="left" if name in ("split", "predictor") else "right")
    try:
        overall = store.read_table(MODEL_EVALUATION).filter(pl.col("by") == "overall")
    except StoreError:
        overall = pl.DataFrame()
    rows = overall.to_dicts()
    if predictions.height:
        metrics = price_metrics(predictions["actual_price"].to_numpy(), predictions["predicted_price"].to_numpy())
        interval_figures = {"coverage": 100 * predictions["inside"].mean(), "width": 100 * predictions["width"].mean()}  # type: ignore[operator]
        rows.append({"split": "on file", "predictor": MONTHLY_PREDICTIONS, **metrics, **interval_figures})
    before = None
    for row in rows:
        if before not in (None, row["split"]):
            table.add_section()
        before = row["split"]
        interval = [f"{row[name]:.1f}%" if row[name] is not None else "" for name in ("coverage", "width")]
        money = [f"{row[name]:,.0f}" for name in ("mae", "rmse")]
        shares = [f"{row[name]:.2f}" for name in ("mape", "mdape")]
        table.add_row(row["split"], row["predictor"], *money, f"{row['r2']:.4f}", *shares, *interval)
    return table


def _known_predictions(store: Store) -> pl.DataFrame:
    """Predicted rows whose price is known, with `inside` and `width` (share of the prediction)."""
    months = store.months(MONTHLY_PREDICTIONS)
    frames = [frame for _, frame in months.iterate(months.available())]
    if not frames:
        return pl.DataFrame()
    width = (pl.col("predicted_high") - pl.col("predicted_low")) / pl.col("predicted_price")
    return (
        pl.concat(frames, how="diagonal")
        .filter(pl.col("actual_price").is_not_null())
        .with_columns(
            pl.col("actual_price").is_between("predicted_low", "predicted_high").alias("inside"),
            width.alias("width"),
            pl.col("date").dt.strftime("%Y-%m").alias("month"),
        )
    )


def _coverage_line(predictions: pl.DataFrame) -> str:
    if predictions.is_empty():
        return ""
    worst = predictions.group_by("month").agg(pl.col("inside").mean()).sort("inside", "month").row(0)
    return (
        f"90% intervals hold {100 * predictions['inside'].mean():.1f}% of the known prices on file; "  # type: ignore[operator]
        f"the least month is {worst[0]} with {100 * worst[1]:.1f}%"
    )


def _published(store: Store, version: str | None) -> str:
    """What the champion publishes other than its own numbers as measured; empty without one that can be read."""
    try:
        return load_bundle(store, version).model().publication.words() if version else ""
    except BundleError:
        return ""


def _forecast_table(store: Store) -> Table:
    """What is published a few horizons ahead, beside the best naive baseline of the same months."""
    table = Table(title="Forecasts: mean absolute error, % of the price", title_justify="left")
    for name in ("split", "months ahead", "published", "best baseline", "ratio", "in interval"):
        table.add_column(name, justify="left" if name in ("split", "best baseline") else "right")
    graded = store.read_table(FORECAST_EVALUATION).filter(pl.col("by") == "overall")
    covered = store.read_table("forecast_coverage")
    for split in ("eval", "holdout"):
        for horizon in (1, 3, 6, 12):
            of = graded.filter((pl.col("split") == split) & (pl.col("horizon") == horizon))
            errors = dict(of.select("predictor", "mape").iter_rows())
            if PUBLISHED not in errors:
                continue
            naive = best_naive({name: errors[name] for name in NAIVE_GROWTH})
            inside = covered.filter((pl.col("split") == split) & (pl.col("horizon") == horizon))
            held = inside.select(pl.col("coverage").dot("rows") / pl.col("rows").sum()).item()
            share = f"{held:.1f}%" if inside.height else ""
            error, other = errors[PUBLISHED], errors[naive]
            table.add_row(split, str(horizon), f"{error:.2f}", f"{other:.2f} {naive}", f"{error / other:.2f}", share)
        table.add_section()
    return table


def _last_decision(store: Store, forecasts: bool) -> str:
    """The newest record of a promotion of either kind of model, whoever the candidate was, in words."""
    keys = [key for key in store.blobs.keys("models/") if "/decisions/" in key]
    of_kind = [key for key in keys if key.startswith("models/forecast-") is forecasts]
    if not of_kind:
        return "none"
    decision = store.read_json(max(of_kind, key=lambda key: key.rpartition("/")[2]))
    return f"{decision['candidate']} {decision['outcome']}: {decision['reason']}"


def _check_table(checks: dict[str, dg.AssetCheckEvaluation]) -> Table:
    """A row for each asset, and a line for each check that did not pass."""
    table = Table(title="Checks", title_justify="left")
    for name in ("asset", "passed", "failed", "what the failed ones say"):
        table.add_column(name, justify="right" if name in ("passed", "failed") else "left")
    by_asset: dict[str, list[tuple[str, dg.AssetCheckEvaluation]]] = {}
    for key, evaluation in checks.items():
        asset, _, name = key.partition(": ")
        by_asset.setdefault(asset, []).append((name, evaluation))
    for asset in sorted(by_asset, key=lambda a: (*CHECKED, a).index(a)):
        failed = [(name, e) for name, e in by_asset[asset] if not e.passed]
        lines = []
        for name, e in failed:
            colour = "red" if e.severity is dg.AssetCheckSeverity.ERROR else "yellow"
            lines.append(f"[{colour}]{name}[/{colour}] {escape((e.description or '')[:200])}")
        passed = len(by_asset[asset]) - len(failed)
        table.add_row(asset, str(passed), str(len(failed)) if failed else "", "\n".join(lines))
    return table
