"""`make bench`: figures and ratios of one run, beside their targets. Never a test: machines differ."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import polars as pl
from dashboard import dashboard_figures
from figures import Figure
from rich.console import Console
from rich.table import Table
from serving import serving

from housing_assets.store.layout import Store

FULL_ZIPS = "6226"


def platform(folder: Path, full: bool) -> Store:
    """A platform with default settings in a folder of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "DAGSTER_", "MLFLOW_"))}
    if full:
        env["HOUSING_SAMPLE_ZIPS"] = FULL_ZIPS
    subprocess.run([str(Path(sys.executable).parent / "housing"), "run"], cwd=folder, env=env, check=True)
    return Store.open(str(folder / "data/store"))


def accuracy(store: Store) -> Iterator[Figure]:
    """The tuned model against the baselines on eval and holdout."""
    table = store.read_table("model_evaluation").filter(by="overall")
    for split in ("eval", "holdout"):
        rows = {row["predictor"]: row for row in table.filter(split=split).to_dicts()}
        tuned = rows["tuned_model"]
        saved = 100 * (1 - tuned["rmse"] / rows["baseline_model"]["rmse"])
        target = ("at least 3%", saved >= 3) if split == "eval" else ("", None)
        yield Figure("accuracy", f"{split}: RMSE below baseline_model's", f"{saved:.1f}%", *target)
        for name in ("train_median", "metro_median", "last_known_price"):
            ratio = rows[name]["rmse"] / tuned["rmse"]
            must = split == "eval" and name != "last_known_price"
            told = ("at least 3", ratio >= 3) if must else ("wins" if ratio < 1 else "", None)
            yield Figure("accuracy", f"{split}: RMSE of {name} / tuned_model", f"{ratio:.2f}", *told)
        figures = f"MAE {tuned['mae']:,.0f}, RMSE {tuned['rmse']:,.0f}, R2 {tuned['r2']:.4f}"
        yield Figure("accuracy", f"{split}: tuned_model, US dollars", figures)


def intervals(store: Store) -> Iterator[Figure]:
    """Coverage of the 90% intervals over the predicted months."""
    months = store.months("monthly_predictions")
    frames = pl.concat(frame for _, frame in months.iterate(months.available()))
    rows = frames.drop_nulls("actual_price").select(
        pl.col("date").dt.strftime("%Y-%m").alias("month"),
        pl.col("actual_price").is_between("predicted_low", "predicted_high").alias("inside"),
        ((pl.col("predicted_high") - pl.col("predicted_low")) / pl.col("predicted_price")).alias("width"),
    )
    by_month = rows.group_by("month").agg(pl.col("inside").mean(), pl.col("width").mean()).sort("inside")
    overall = 100 * rows.select(pl.col("inside").mean()).item()
    least, width = 100 * by_month["inside"][0], 100 * rows.select(pl.col("width").mean()).item()
    yield Figure("intervals", "coverage over all months", f"{overall:.1f}%", "87 to 93%", 87 <= overall <= 93)
    yield Figure(
        "intervals", f"coverage of the least month, {by_month['month'][0]}", f"{least:.1f}%", "80%", least >= 80
    )
    yield Figure("intervals", "mean width, of the predicted price", f"{width:.1f}%")


def checks(home: Path) -> Iterator[Figure]:
    """What the checks cost beside what they check, from the runs' own step times.

    The first check of a process imports Great Expectations, whatever it checks: that is shown apart.
    """
    seconds = step_seconds(home)
    importing = import_seconds("great_expectations")
    seconds["raw_splits_checks"] -= importing
    yield Figure("checks", "import of Great Expectations, once a process, not in the rows below", f"{importing:.1f} s")
    for asset in ("raw_splits", "cleaned", "monthly_predictions"):
        share = seconds[f"{asset}_checks"] / seconds[asset]
        yield Figure("checks", f"{asset}: seconds of checks / of materializing", told(seconds, asset, share))
    everything = sum(s for name, s in seconds.items() if not name.endswith("_checks"))
    vouching = sum(s for name, s in seconds.items() if name.endswith("_checks"))
    share = vouching / everything
    figures = f"{vouching:.1f} / {everything:.1f} = {share:.0%}"
    yield Figure("checks", "all: seconds of checks / of materializing", figures)
    panel = ("raw_splits", "cleaned")
    share = sum(seconds[f"{a}_checks"] for a in panel) / sum(seconds[a] for a in panel)
    yield Figure("checks", "the panel's checks / materializing the panel", f"{share:.0%}", "below 50%", share < 0.5)


def told(seconds: Mapping[str, float], asset: str, share: float) -> str:
    """Both times and their ratio."""
    return f"{seconds[f'{asset}_checks']:.1f} / {seconds[asset]:.1f} = {share:.0%}"


def import_seconds(module: str) -> float:
    """Median of three processes, less the start of Python itself."""

    def once(statement: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - begun

    return median(once(f"import {module}") for _ in range(3)) - once("import polars, dagster")


def step_seconds(home: Path) -> dict[str, float]:
    """How long each step of the last successful run of each job took."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        found: dict[str, float] = {}
        for run in reversed(runs):
            for step in instance.get_run_step_stats(run.run_id):
                if step.start_time and step.end_time:
                    found[step.step_key] = step.end_time - step.start_time
    return found


def main() -> None:
    """Print the report."""
    full = os.environ.get("FULL") == "1"
    with tempfile.TemporaryDirectory() as folder:
        store = platform(Path(folder), full)
        figures = [
            *accuracy(store),
            *intervals(store),
            *checks(Path(folder) / "data/dagster"),
            *serving(store),
            *dashboard_figures(store, Path(folder) / "full"),
        ]
    report = Table(title=f"Benchmarks, {'full-size' if full else 'default'} synthetic panel", title_justify="left")
    for name in ("group", "figure", "value", "target", "met"):
        report.add_column(name)
    for f in figures:
        report.add_row(f.group, f.name, f.value, f.target, {None: "", True: "yes", False: "NO"}[f.met])
    console = Console()
    console.width = max(console.width, 120)
    console.print(report)


if __name__ == "__main__":
    main()
