"""`make bench`: figures and ratios of one run, beside their targets. Never a test: machines differ."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from housing_assets.store.layout import Store

FULL_ZIPS = "6226"


@dataclass(frozen=True)
class Figure:
    """One row of the report."""

    group: str
    name: str
    value: str
    target: str = ""
    met: bool | None = None


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


def main() -> None:
    """Print the report."""
    full = os.environ.get("FULL") == "1"
    with tempfile.TemporaryDirectory() as folder:
        store = platform(Path(folder), full)
        figures = [*accuracy(store), *intervals(store)]
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
