"""The main job: every stage in order on one instance, skipping what is up to date, and the summary."""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError
from rich.console import Console
from rich.table import Table

from housing_assets.assets.common import CODE_VERSION
from housing_assets.build import build_definitions
from housing_assets.core.errors import HousingError
from housing_assets.core.months import describe_months, parse_month_range
from housing_assets.core.source import fingerprint
from housing_assets.settings import Settings
from housing_assets.source import source_uri
from housing_assets.store.bundles import champion_version, load_champion
from housing_assets.store.layout import Store

_INPUTS_TAG = "housing/inputs"
_OWNER_TAG = "housing/process"
_MIN_WIDTH = 110
_MONTHLY = ("raw_splits", "cleaned", "monthly_predictions")


def run_platform(settings: Settings, home: Path, months: str | None, force: bool = False) -> None:
    """Materialize the platform and print the summary.

    Args:
        settings: of the platform.
        home: DAGSTER_HOME.
        months: `FIRST:LAST` to ingest and predict; None for the whole panel.
        force: run stages that are up to date as well.

    Raises:
        HousingError: a stage or a blocking check failed. What was materialized before stays.
    """
    console = Console(stderr=True)
    store = Store.open(settings.store_uri)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        _close_dead_runs(instance)
        source = fingerprint(source_uri(settings, console.print))
        asked = _asked_months(settings, months)
        stages = _Stages(settings, instance, console, force)
        ingest_inputs = [source, settings.model_dump(mode="json", exclude={"store_uri"})]
        stages.run(
            "ingest_job",
            ingest_inputs,
            asked,
            _have(store, asked, "raw_splits", "cleaned"),
        )
        stages.run("training_job", ingest_inputs, None, _trained(store))
        predicted = [m for m in asked if m >= settings.holdout_start]
        if predicted:
            version = champion_version(store)
            there = _have(store, predicted, "monthly_predictions")
            stages.run("predictions_job", [*ingest_inputs, version], predicted, there)
        checks = _last_checks(instance, stages.definitions)
        _print_status(settings, home, checks)
        red = [key for key, evaluation in checks.items() if not evaluation.passed]
        if red:
            raise HousingError(f"red checks: {', '.join(red)}. Their messages are in the table above")


def _asked_months(settings: Settings, text: str | None) -> list[str]:
    if text is None:
        if settings.uses_sample or settings.panel_end:
            return settings.months
        from housing_assets.core.source import open_panel

        # The panel has no set end: the source's own last month is it.
        with open_panel(settings.source_uri, months=()) as panel:
            there = set(panel.months)
        first = min(there)
        if first > settings.panel_start:
            raise HousingError(
                f"the source begins with {first}, HOUSING_PANEL_START is {settings.panel_start}: "
                f"set HOUSING_PANEL_START={first}"
            )
        return [m for m in settings.months if m <= max(there)]
    first, last = parse_month_range(text)
    outside = [m for m in (first, last) if m not in settings.months]
    if outside:
        raise HousingError(
            f"--months {text}: {', '.join(outside)} is outside the panel, which is "
            f"{describe_months(settings.months)}: choose months of it, or set HOUSING_PANEL_START and "
            "HOUSING_PANEL_END"
        )
    return [m for m in settings.months if first <= m <= last]


class _Stages:
    """Runs jobs one after the other, each over its months in one run."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, console: Console, force: bool) -> None:
        self.definitions = build_definitions(settings)
        self.instance, self.console, self.force = instance, console, force

    def run(self, name: str, inputs: object, months: Sequence[str] | None, outputs_exist: bool) -> None:
        """Run a job unless its last run had the same inputs, succeeded, and its outputs are there."""
        digest = hashlib.sha256(json.dumps([CODE_VERSION, inputs, months], sort_keys=True).encode()).hexdigest()
        if outputs_exist and not self.force and self._done(name, digest):
            self.console.print(f"[dim]{name}: up to date[/dim]")
            return
        told = f" {months[0]} to {months[-1]}" if months else ""
        self.console.print(f"[bold]{name}[/bold]{told}")
        tags = {_INPUTS_TAG: digest[:32], _OWNER_TAG: _this_process()}
        if months:
            tags |= {
                "dagster/asset_partition_range_start": months[0],
                "dagster/asset_partition_range_end": months[-1],
            }
        try:
            result = self.definitions.resolve_job_def(name).execute_in_process(
                instance=self.instance, tags=tags, run_config={"loggers": {"progress": {}}}, raise_on_error=True
            )
        except Exception as error:
            known = _known_cause(error, lambda: _last_checks(self.instance, self.definitions))
            if known is None:
                raise
            raise HousingError(f"{name}: {known}") from error
        if not result.success:
            raise HousingError(f"{name} failed: see run {result.run_id} in the Dagster UI")

    def _done(self, name: str, digest: str) -> bool:
        last = self.instance.get_runs(dg.RunsFilter(job_name=name), limit=1)
        return bool(last) and last[0].tags.get(_INPUTS_TAG) == digest[:32] and last[0].is_success


def _known_cause(
    error: BaseException | None, checks: Callable[[], Mapping[str, dg.AssetCheckEvaluation]]
) -> str | None:
    """The message for people somewhere in an error's chain of causes."""
    while error is not None:
        if isinstance(error, HousingError):
            return str(error)
        if isinstance(error, dg.Failure):
            return error.description
        if isinstance(error, DagsterAssetCheckFailedError):
            red = [f"{key}: {e.description}" for key, e in checks().items() if not e.passed and key in str(error)]
            return "a blocking check is red: " + ("\n".join(red) or str(error))
        error = error.__cause__ or error.__context__
    return None


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _close_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose process was killed: nothing else would ever end them."""
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
    for dead in started:
        host, _, pid = dead.tags.get(_OWNER_TAG, "").rpartition(":")
        if host == socket.gethostname() and not _alive(int(pid)):
            instance.report_run_failed(dead, "The process of this run was killed")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _have(store: Store, months: Sequence[str], *assets: str) -> bool:
    return all(set(months) <= set(store.months(asset).available()) for asset in assets)


def _trained(store: Store) -> bool:
    return {"encoders.parquet", "training_features.parquet", "baseline_model.json"} <= set(store.blobs.keys("")) and (
        champion_version(store) is not None
    )


def _last_checks(instance: dg.DagsterInstance, definitions: dg.Definitions) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of every check, by `asset: check`."""
    keys = sorted(definitions.resolve_asset_graph().asset_check_keys, key=str)
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    found: dict[str, dg.AssetCheckEvaluation] = {}
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        if event and isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
            found[f"{key.asset_key.to_user_string()}: {key.name}"] = event.event_specific_data
    return found


def show_status(settings: Settings, home: Path) -> None:
    """Print what is materialized, the champion with its figures, and the last checks."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        _print_status(settings, home, _last_checks(instance, build_definitions(settings)))


def _print_status(settings: Settings, home: Path, checks: dict[str, dg.AssetCheckEvaluation]) -> None:
    console = Console()
    console.width = max(console.width, _MIN_WIDTH)
    store = Store.open(settings.store_uri)
    source = "synthetic sample" if settings.uses_sample else settings.source_uri
    console.print(_asset_table(store, f"Housing prices by month: {source}"))
    version = champion_version(store)
    if version:
        console.print(_metric_table(store, settings))
    console.print(_check_table(checks))
    for name, where in (("champion", version or "none"), ("store", store.uri), ("DAGSTER_HOME", str(home))):
        console.print(f"{name:<13}{where}", soft_wrap=True, highlight=False)


def _asset_table(store: Store, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("asset", "months", "rows"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for asset in (*_MONTHLY[:2], "quarantined", _MONTHLY[2]):
        months = store.months(asset)
        available = months.available()
        rows = sum(frame.height for _, frame in months.iterate(available, ["zipcode"]))
        table.add_row(asset, f"{describe_months(available)} ({len(available)})", f"{rows:,}")
    return table


def _metric_table(store: Store, settings: Settings) -> Table:
    """The champion on eval beside the naive baselines, and on the predicted months."""
    import polars as pl

    from housing_assets.core.evaluation import naive_predictions, price_metrics
    from housing_assets.core.months import Split

    table = Table(title="Errors, prices in US dollars", title_justify="left")
    for name in ("split", "predictor", "MAE", "RMSE", "R2", "mean %", "median %", "in interval"):
        table.add_column(name, justify="left" if name in ("split", "predictor") else "right")

    def add(split: str, predictor: str, m: dict[str, float], inside: str = "") -> None:
        table.add_row(
            split,
            predictor,
            f"{m['mae']:,.0f}",
            f"{m['rmse']:,.0f}",
            f"{m['r2']:.4f}",
            f"{m['mape']:.2f}",
            f"{m['mdape']:.2f}",
            inside,
        )

    for predictor, metrics in load_champion(store).metrics()["eval"].items():
        add("eval", predictor, metrics)
    predictions = store.months("monthly_predictions")
    if not predictions.available():
        return table
    table.add_section()
    known = predictions.read_many(predictions.available()).filter(pl.col("actual_price").is_not_null())
    if known.is_empty():
        return table
    actual = known["actual_price"].to_numpy()
    inside = pl.col("actual_price").is_between("predicted_low", "predicted_high")
    coverage = 100 * known.select(inside.mean()).item()
    add("holdout", "champion", price_metrics(actual, known["predicted_price"].to_numpy()), f"{coverage:.1f}%")
    months = store.months("cleaned")
    train = [m for m in months.available() if settings.split.of(m) is Split.TRAIN]
    past = months.read_many(train, ["date", "zipcode", "city_full", "price"]).drop_nulls("price")
    for predictor, prices in naive_predictions(past, known.select("zipcode", "city_full")).items():
        add("holdout", predictor, price_metrics(actual, prices))
    return table


def _check_table(checks: dict[str, dg.AssetCheckEvaluation]) -> Table:
    table = Table(title="Checks", title_justify="left")
    for name in ("check", "result", "what it says"):
        table.add_column(name)
    for key, evaluation in checks.items():
        result = "[green]passed[/green]" if evaluation.passed else "[red]failed[/red]"
        table.add_row(key, result, (evaluation.description or "")[:200])
    return table
