"""The main job: every stage in order on one instance, skipping what is up to date, and the summary."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from housing_assets.assets.common import CODE_VERSION, OWNER_TAG, month_tags
from housing_assets.build import build_definitions
from housing_assets.checks.page import PAGE
from housing_assets.checks.state import last_evaluations
from housing_assets.core.addresses import without_password
from housing_assets.core.errors import BundleError, HousingError, StoreError
from housing_assets.core.evaluation import price_metrics
from housing_assets.core.forecasting import LEAST_FORECAST_MONTHS, PUBLISHED, best_naive
from housing_assets.core.growth import NAIVE_GROWTH
from housing_assets.core.months import consecutive, describe_months, parse_month_range
from housing_assets.core.processes import is_known_dead, this_process
from housing_assets.core.rules import CHECKED
from housing_assets.core.source import fingerprint
from housing_assets.instance import open_instance
from housing_assets.panel import begin_panel, derives_start, known_panel
from housing_assets.settings import Settings
from housing_assets.source import source_uri
from housing_assets.store.bundles import FORECAST_POINTER, champion_version, load_bundle, point_to, provisional_reason
from housing_assets.store.histories import RESTS_ON_HISTORY, stale_months
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import SOUND, State, read_verdicts, states
from housing_assets.work import read_facts, work_to_do

_INPUTS_TAG = "housing/inputs"
_MIN_WIDTH = 110
_MONTHLY = (
    "raw_splits",
    "cleaned",
    "quarantined",
    "interval_calibration",
    "monthly_predictions",
    "monthly_forecasts",
)
_MADE_BY: dict[str, tuple[str, ...]] = {
    "ingest_job": ("raw_splits", "cleaned"),
    "predictions_job": ("interval_calibration", "monthly_predictions"),
    "monitoring_job": ("drift_report", "prediction_accuracy"),
    "forecast_job": ("monthly_forecasts",),
}
"""Monthly assets by the job that makes them."""
_NOT_INGESTED = {
    "store_uri",
    "tune_trials",
    "study_storage",
    "train_engine",
    "dask_address",
    "mlflow_tracking_uri",
    "source_seconds",
    "follow_seconds",
    "accept_restated",
    "webhook_url",
}
"""Settings that `raw_splits` and `cleaned` do not depend on."""


def run_platform(
    settings: Settings,
    home: Path,
    months: str | None,
    trials: int | None = None,
    force: bool = False,
    accept_restated: str = "",
) -> None:
    """Materialize the platform and print the summary.

    A month that the checks of its raw rows stop is left out, and the other months go on.

    Args:
        settings: of the platform.
        home: DAGSTER_HOME.
        months: `FIRST:LAST` to ingest and predict; None for the whole panel.
        trials: of tuning; None for HOUSING_TUNE_TRIALS.
        force: run stages that are up to date as well.
        accept_restated: why months whose values are no longer those accepted before are accepted; empty: they
            are not.

    Raises:
        HousingError: a stage or a blocking check failed, for some month. What was materialized before stays.
    """
    console = Console(stderr=True)
    store = Store.open(settings.store_uri)
    with open_instance(home) as instance:
        _close_dead_runs(instance)
        source = fingerprint(source_uri(settings, console.print))
        settings, first, last = _panel(settings, store, months is None)
        asked = _asked_months(settings, months, first, last)
        stages = _Stages(settings, store, instance, console, force)
        ingest_inputs = [source, settings.model_dump(mode="json", exclude=_NOT_INGESTED)]
        config = {"ops": {"raw_splits_checks": {"config": {"accept_restated": accept_restated}}}}
        stages.run_months("ingest_job", ingest_inputs, asked, config)
        needed = [m for m in settings.months if m < settings.holdout_start]
        if cut := sorted(set(needed) & stages.stopped):
            console.print(f"training_job: not run, since {describe_months(cut)} of train and eval are stopped")
        else:
            trials = settings.tune_trials if trials is None else trials
            config = {"ops": {"tuned_model": {"config": {"trials": trials}}}}
            stages.run("training_job", [*ingest_inputs, trials], None, _trained(store), config)
        version = champion_version(store)
        if version and states(store, "champion_model")[""] is State.STALE:
            # Promoted by code that kept no verdict: the bundle is verified now.
            point_to(store, version, provisional_reason(store, version))
        predicted = [m for m in asked if m >= settings.holdout_start and m not in stages.stopped]
        if version:
            stages.run_months("predictions_job", [*ingest_inputs, version], predicted)
            config = {"ops": {"drift_report": {"config": {"newest_report_only": True}}}}
            measured = [m for m in predicted if m not in stages.stopped]
            stages.run_months("monitoring_job", [*ingest_inputs, version], measured, config)
        if not settings.can_forecast:
            console.print(f"forecast_job: not run, since it needs {LEAST_FORECAST_MONTHS} months before eval")
        elif not cut:
            again = champion_version(store, FORECAST_POINTER) is None
            stages.run_months("forecast_job", ingest_inputs, predicted, force=again)
            # After a roll-back by hand, months that are up to date may be of the version before.
            forecast = [m for m in predicted if m not in stages.stopped]
            others = _forecast_by_others(store, forecast, champion_version(store, FORECAST_POINTER))
            for part in consecutive(others):
                stages.run("forecast_job", ingest_inputs, part, False, assets=["monthly_forecasts"])
        checks = _last_checks(instance, stages.definitions)
        _print_status(settings, home, checks)
        if version and (provisional := provisional_reason(store, version)):
            told = f"warning: the champion {version} is provisional, the best that there is: {provisional}"
            console.print(f"[yellow]{escape(told)}[/yellow]", soft_wrap=True, highlight=False)
        if stages.errors:
            raise HousingError("\n".join(stages.errors))
        red = [key for key, e in checks.items() if not e.passed and e.severity is dg.AssetCheckSeverity.ERROR]
        if red:
            raise HousingError(f"red checks: {', '.join(red)}. Their messages are in the table above")


def _panel(settings: Settings, store: Store, whole: bool) -> tuple[Settings, str, str]:
    """The settings with the panel's first month, and the first and last month there are, as the source says.

    Args:
        settings: of the platform.
        store: where the first month of the source is kept.
        whole: is the whole panel asked for?
    """
    known = known_panel(settings, store)
    if settings.uses_sample or (not derives_start(known) and (settings.panel_end or not whole)):
        return known, known.panel_start, known.last_month
    from housing_assets.core.source import open_panel

    with open_panel(settings.source_uri, months=()) as panel:
        first, last = panel.months[0], panel.months[-1]
    known = begin_panel(settings, store, first)
    if whole and not settings.panel_end and not derives_start(settings) and first > known.panel_start:
        raise HousingError(
            f"the source begins with {first}, HOUSING_PANEL_START is {known.panel_start}: "
            f"set HOUSING_PANEL_START={first}, or leave it unset"
        )
    return known, first, known.last_month if settings.panel_end else last


def _asked_months(settings: Settings, text: str | None, first_there: str, last_there: str) -> list[str]:
    if text is None:
        return [m for m in settings.months if first_there <= m <= last_there]
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

    def __init__(
        self, settings: Settings, store: Store, instance: dg.DagsterInstance, console: Console, force: bool
    ) -> None:
        self.definitions = build_definitions(settings)
        self.settings, self.store, self.instance = settings, store, instance
        self.console, self.force = console, force
        self.stopped: set[str] = set()
        self.errors: list[str] = []

    def run_months(
        self,
        name: str,
        inputs: Sequence[object],
        months: Sequence[str],
        config: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> None:
        """Run a job over those months whose outputs are not there, not sound, or made from something else.

        Where checks stop some months of a run, these go into `stopped` and what was said into `errors`, and the others
        go on.

        Args:
            name: of the job.
            inputs: all that its outputs depend on, the months apart.
            months: to have the outputs of.
            config: of the run.
            force: run it over all of them.

        Raises:
            HousingError: a run failed, and not because of the checks of some months.
        """
        undone = months if force or self.force else self._undone(name, inputs, months)
        if months and not undone:
            self.console.print(f"[dim]{name}: up to date[/dim]")
        for part in consecutive(undone):
            try:
                self.run(name, inputs, part, False, config)
            except HousingError as error:
                self._go_on(name, inputs, part, config, error)

    def _go_on(
        self,
        name: str,
        inputs: Sequence[object],
        months: Sequence[str],
        config: Mapping[str, Any] | None,
        error: HousingError,
    ) -> None:
        """After a failed run: the months that its checks did not stop."""
        stopped = self._stopped_by_last_run(name, months)
        if not stopped:
            raise error
        self.stopped |= stopped
        self.errors.append(str(error))
        self.console.print(f"[red]{describe_months(sorted(stopped))} stopped[/red]; the other months go on")
        left = [m for m in self._undone(name, inputs, months) if m not in stopped]
        # Their raw rows were read and checked: the source is not read again.
        config, assets = (None, ["cleaned"]) if name == "ingest_job" else (config, None)
        for part in consecutive(left):
            try:
                self.run(name, inputs, part, False, config, assets)
            except HousingError as further:
                self._go_on(name, inputs, part, config, further)

    def _stopped_by_last_run(self, name: str, months: Sequence[str]) -> set[str]:
        (last,) = self.instance.get_runs(dg.RunsFilter(job_name=name), limit=1)
        found: set[str] = set()
        for asset in _MADE_BY[name]:
            verdicts = read_verdicts(self.store, asset, months)
            found |= {m for m, v in verdicts.items() if v.run == last.run_id and v.state is State.RED}
        return found

    def _undone(self, name: str, inputs: Sequence[object], months: Sequence[str]) -> list[str]:
        """Months that the store says are work, or whose outputs no run with the same inputs made."""
        tasks = work_to_do(read_facts(self.settings, self.store))
        undone = {month for task in tasks if task.job == name for month in task.months}
        for asset in _MADE_BY[name]:
            known = states(self.store, asset, months)
            undone |= {m for m in months if known[m] not in SOUND}
            verdicts = read_verdicts(self.store, asset, months)
            current = self._with_inputs({v.run for v in verdicts.values()}, inputs)
            undone |= {m for m, verdict in verdicts.items() if verdict.run not in current}
        return [m for m in months if m in undone]

    def _with_inputs(self, runs: set[str], inputs: Sequence[object]) -> set[str]:
        """Those of some runs that had these inputs."""
        if not runs:
            return set()
        same = dg.RunsFilter(run_ids=list(runs), tags={_INPUTS_TAG: _digest(inputs)})
        return {run.run_id for run in self.instance.get_runs(same)}

    def run(
        self,
        name: str,
        inputs: object,
        months: Sequence[str] | None,
        outputs_exist: bool,
        config: Mapping[str, Any] | None = None,
        assets: Sequence[str] | None = None,
    ) -> None:
        """Run a job unless its last run had the same inputs, succeeded, and its outputs are there.

        Args:
            name: of the job.
            inputs: all that its outputs depend on.
            months: of the run; None for a job without months.
            outputs_exist: are its outputs there? If not, the last run does not matter.
            config: of the run.
            assets: of the job, if not all of them.

        Raises:
            HousingError: the run failed.
        """
        digest = _digest(inputs)
        if outputs_exist and not self.force and self._done(name, digest):
            self.console.print(f"[dim]{name}: up to date[/dim]")
            return
        told = f" {months[0]} to {months[-1]}" if months else ""
        self.console.print(f"[bold]{name}[/bold]{told}")
        tags = {_INPUTS_TAG: digest, OWNER_TAG: this_process()}
        if months:
            tags |= month_tags(months)
        try:
            result = self.definitions.resolve_job_def(name).execute_in_process(
                instance=self.instance,
                tags=tags,
                run_config={"loggers": {"progress": {}}, **(config or {})},
                raise_on_error=True,
                asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
            )
        except DagsterExecutionInterruptedError as error:
            raise KeyboardInterrupt from error
        except Exception as error:
            known = _known_cause(error, lambda: _last_checks(self.instance, self.definitions))
            if known is None:
                raise
            raise HousingError(f"{name}: {known}") from error
        if not result.success:
            raise HousingError(f"{name} failed: see run {result.run_id} in the Dagster UI")

    def _done(self, name: str, digest: str) -> bool:
        last = self.instance.get_runs(dg.RunsFilter(job_name=name), limit=1)
        return bool(last) and last[0].tags.get(_INPUTS_TAG) == digest and last[0].is_success


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


def _close_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose process was killed: nothing else would ever end them."""
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
    for dead in started:
        if is_known_dead(dead.tags.get(OWNER_TAG, "")):
            instance.report_run_failed(dead, "The process of this run was killed")


def _digest(inputs: object) -> str:
    return hashlib.sha256(json.dumps([CODE_VERSION, inputs], sort_keys=True).encode()).hexdigest()[:32]


def _forecast_by_others(store: Store, months: Sequence[str], version: str | None) -> list[str]:
    """Months whose forecasts are there, and are not of a version."""
    forecasts = store.months("monthly_forecasts")
    there = sorted(set(months) & set(forecasts.available()))
    return [m for m, frame in forecasts.iterate(there, ["model_version"]) if set(frame["model_version"]) - {version}]


def _trained(store: Store) -> bool:
    made = {"encoders.parquet", "training_features.parquet", "baseline_model.json", "tuned_model.json"}
    return made | {"model_evaluation.parquet"} <= set(store.blobs.keys("")) and champion_version(store) is not None


def _last_checks(instance: dg.DagsterInstance, definitions: dg.Definitions) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of every check, by `asset: check`."""
    return last_evaluations(instance, definitions.resolve_asset_graph().asset_check_keys)


def show_status(settings: Settings, home: Path) -> None:
    """Print what is materialized, the champion with its figures, and the last checks."""
    with open_instance(home) as instance:
        _print_status(settings, home, _last_checks(instance, build_definitions(settings)))


def _print_status(settings: Settings, home: Path, checks: dict[str, dg.AssetCheckEvaluation]) -> None:
    console = Console()
    console.width = max(console.width, _MIN_WIDTH)
    store = Store.open(settings.store_uri)
    source = "synthetic sample" if settings.uses_sample else settings.source_uri
    console.print(_asset_table(store, f"Housing prices by month: {without_password(source)}"))
    version = champion_version(store)
    if version:
        console.print(_metric_table(store))
        console.print(_coverage_line(store), highlight=False)
    if champion_version(store, FORECAST_POINTER):
        console.print(_forecast_table(store))
    console.print(_check_table(checks))
    for asset in RESTS_ON_HISTORY:
        if stale := stale_months(store, asset):
            told = f"{asset} of {describe_months(stale)} rests on restated months: `housing run` makes it anew"
            console.print(f"[yellow]stale[/yellow]        {told}", soft_wrap=True, highlight=False)
    provisional = provisional_reason(store, version) if version else ""
    for name, where in (
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


def _asset_table(store: Store, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("asset", "months", "rows"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for asset in _MONTHLY:
        months = store.months(asset)
        available = months.available()
        rows = months.count_rows(available, "city_full")
        table.add_row(asset, f"{describe_months(available)} ({len(available)})", f"{rows:,}")
    return table


def _metric_table(store: Store) -> Table:
    """The models and the naive baselines on the same rows, and the predicted months as they are on file."""
    table = Table(title="Errors, prices in US dollars", title_justify="left")
    for name in ("split", "predictor", "MAE", "RMSE", "R2", "mean %", "median %", "in interval", "width"):
        table.add_column(name, justify="left" if name in ("split", "predictor") else "right")
    try:
        overall = store.read_table("model_evaluation").filter(pl.col("by") == "overall")
    except StoreError:
        overall = pl.DataFrame()
    rows = overall.to_dicts()
    predictions = _known_predictions(store)
    if predictions.height:
        metrics = price_metrics(predictions["actual_price"].to_numpy(), predictions["predicted_price"].to_numpy())
        found = {"coverage": 100 * predictions["inside"].mean(), "width": 100 * predictions["width"].mean()}  # type: ignore[operator]
        rows.append({"split": "on file", "predictor": "monthly_predictions", **metrics, **found})
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
    months = store.months("monthly_predictions")
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


def _coverage_line(store: Store) -> str:
    predictions = _known_predictions(store)
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
    graded = store.read_table("forecast_evaluation").filter(pl.col("by") == "overall")
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
