"""`make bench`: figures and ratios of one run, beside their targets. Never a test: machines differ."""

import json
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from platform import platform as platform_name
from statistics import median

import dagster_runs
import data_path
import optuna
import polars as pl
import psutil
from dashboard import dashboard_figures
from figures import Cost, Figure, command, piece, typical
from forecasts import history_figures
from markets import is_index, market_figures
from national import national_figures
from rich.console import Console
from rich.table import Table
from search import search_figures
from serving import serving
from serving_sizes import size_figures
from sources import source_figures
from training import dask_figures

from housing_assets.config.settings import Settings
from housing_assets.core.features.monthly import make_features
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.months import PANEL_END
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.run_tags import month_tags
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample
from housing_assets.orchestration.build import build_definitions
from housing_assets.store.layout import Store
from housing_assets.store.pointers import load_champion

FULL_ZIPS, DEFAULT_ZIPS = 6_226, 240
ROUNDS = 3
GROWTH_TREES = 50
FULL_MEMORY = {"data": 2_048, "training": 3_072}
"""MiB that the data path and training may take."""
GROWN_MEMORY = 6 * 1_024
"""MiB that ten times the panel may take."""
HOUSING, DAGSTER = (str(Path(sys.executable).parent / name) for name in ("housing", "dagster"))
KEPT = Path("data/bench")


def accuracy(store: Store) -> Iterator[Figure]:
    """The tuned model against the baselines on eval and holdout."""
    table = store.read_table("model_evaluation").filter(by="overall")
    for split in ("eval", "holdout"):
        rows = rows_of(table, split)
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
    on_eval = load_champion(store).metrics()["eval"]
    if without := on_eval.get("tuned_model without history"):
        saved = 100 * (1 - without["rmse"] / rows_of(table, "eval")["baseline_model"]["rmse"])
        name = "eval: RMSE of zips without history below baseline_model's"
        yield Figure("accuracy", name, f"{saved:.1f}%", "at least 3%", saved >= 3)


def rows_of(table: pl.DataFrame, split: str) -> dict[str, dict[str, float]]:
    """The figures of a split by predictor."""
    return {row["predictor"]: row for row in table.filter(split=split).to_dicts()}


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


def checks(taken: Mapping[str, float]) -> Iterator[Figure]:
    """What the checks cost beside what they check, from the runs' own step times.

    The first check of a process imports Great Expectations, whatever it checks. That is `revisions_checks`, which a run
    from nothing comes to before those below: it is in the row of all checks.
    """
    seconds = dict(taken)
    first = f"{seconds['revisions_checks']:.1f} s"
    yield Figure("checks", "revisions_checks, the first of the process: imports Great Expectations", first)
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
    yield Figure("checks", "the panel's checks / materializing the panel", f"{share:.0%}", "below 30%", share < 0.3)


def told(seconds: Mapping[str, float], asset: str, share: float) -> str:
    """Both times and their ratio."""
    return f"{seconds[f'{asset}_checks']:.1f} / {seconds[asset]:.1f} = {share:.0%}"


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


@dataclass(frozen=True)
class Bench:
    """What the groups share.

    Attributes:
        folder: for all that is made on the way; gone afterwards.
        full: at the size of the real panel?
    """

    folder: Path
    full: bool

    @cached_property
    def source(self) -> Path:
        """The panel as a CSV: that of HOUSING_SOURCE_URI, or a synthetic one."""
        if given := os.environ.get("HOUSING_SOURCE_URI"):
            return Path(given).absolute()
        return panel(self.folder / "panel.csv", FULL_ZIPS if self.full else DEFAULT_ZIPS)

    @cached_property
    def rows(self) -> int:
        """Of the panel."""
        with self.source.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1

    @cached_property
    def platform(self) -> "Made":
        """A platform of this panel, run without a search, then with one."""
        folder = self.folder / "platform"
        folder.mkdir()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "DAGSTER_", "MLFLOW_"))}
        env |= {"HOUSING_SOURCE_URI": str(self.source), "HOUSING_PANEL_END": PANEL_END}
        print("`housing run` from nothing, without a search", flush=True)
        untuned = command([HOUSING, "run", "--trials", "0"], folder, env)
        seconds = step_seconds(folder / "data/dagster")
        print("`housing run` after it, with a search", flush=True)
        tuned = command([HOUSING, "run"], folder, env)
        return Made(folder, env, Store.open(str(folder / "data/store")), seconds, untuned, tuned)

    @cached_property
    def served(self) -> Store:
        """A store with a champion: that of HOUSING_STORE_URI, or else of the platform, which takes two runs to make."""
        given = os.environ.get("HOUSING_STORE_URI")
        return Store.open(given) if given else self.platform.store

    @cached_property
    def data(self) -> Cost:
        """The data path in pure functions."""
        return typical([piece("pure", self.source, self.folder / "pure") for _ in range(ROUNDS)])


@dataclass(frozen=True)
class Made:
    """A platform that was run.

    Attributes:
        folder: where.
        env: of its commands.
        store: what it made.
        seconds: of each step of the run without a search.
        untuned, tuned: `housing run` from nothing without a search, and after it with one.
    """

    folder: Path
    env: Mapping[str, str]
    store: Store
    seconds: Mapping[str, float]
    untuned: Cost
    tuned: Cost


def panel(path: Path, zips: int) -> Path:
    """A synthetic panel with dirt."""
    write_sample(SampleSpec(zips, dirt=True), path)
    return path


def data(bench: Bench) -> Iterator[Figure]:
    """The data path against the floor and against the usual way."""
    floors, single, own = [], [], []
    for _ in range(ROUNDS):
        single.append(piece("floor", bench.source, bench.folder / "floor"))
        floors.append(piece("floor_months", bench.source, bench.folder / "floor"))
        own.append(piece("pure", bench.source, bench.folder / "pure"))
    usual = piece("usual", bench.source, bench.folder / "usual")
    floor, mine = typical(floors), typical(own)
    name = "floor: pyarrow reads the CSV, writes each month as Parquet"
    yield Figure("data", name, f"{floor.seconds:.2f} s", memory=floor.memory)
    cap = FULL_MEMORY["data"]
    yield Figure(
        "data",
        "CSV to training_features in pure functions",
        f"{mine.seconds:.2f} s",
        f"{cap:,} MiB",
        mine.memory < cap,
        mine.memory,
    )
    ratio = median(o.seconds / f.seconds for o, f in zip(own, floors, strict=True))
    yield Figure("data", "the same / floor", f"{ratio:.2f}", *full_target(bench, "2.5", ratio <= 2.5))
    ratio = median(o.seconds / f.seconds for o, f in zip(own, single, strict=True))
    name = f"the same / reading it and writing one Parquet file ({typical(single).seconds:.2f} s)"
    yield Figure("data", name, f"{ratio:.2f}")
    yield Figure("data", "the usual way, once", f"{usual.seconds:.1f} s", memory=usual.memory)
    times = usual.seconds / mine.seconds
    yield Figure("data", "the usual way / pure functions", f"{times:.1f}", *full_target(bench, "8", times >= 8))


def full_target(bench: Bench, told: str, met: bool) -> tuple[str, bool | None]:
    """A target that is set for the full size; of smaller panels fixed costs are most of the time."""
    return (told, met) if bench.full else ("", None)


def dagster(bench: Bench) -> Iterator[Figure]:
    """What orchestration adds to the data path: runs less their checks, less the pure functions."""
    folder = bench.folder / "dagster"
    month = data_path.MONTHS[-1]
    cost = piece("dagster", bench.source, folder, month)
    found = json.loads((folder / dagster_runs.RESULT).read_text())
    alone = typical([piece("pure_month", bench.source, folder / "store", month) for _ in range(ROUNDS)])
    own = {name: run["seconds"] - run["checks"] for name, run in found.items()}
    adds = own["all"] + own["features"] - bench.data.seconds
    months = len(data_path.MONTHS)
    told = f"{adds:.1f} s of {own['all'] + own['features']:.1f} s"
    yield Figure("dagster", f"two runs over all {months} months: Dagster adds", told, "8 s", adds <= 8, cost.memory)
    yield Figure("dagster", "the same for each month", f"{1e3 * adds / months:.0f} ms")
    adds = own["month"] - alone.seconds
    told = f"{adds:.2f} s of {own['month']:.2f} s"
    yield Figure("dagster", "one run over one month: Dagster adds", told, "2 s", adds <= 2, alone.memory)


def training(bench: Bench) -> Iterator[Figure]:
    """Training as the assets do it against bare XGBoost; a trial of tuning; a run without a search."""
    folder, trees = bench.folder / "pure", 500
    _ = bench.data
    piece("ready", folder, "train")
    bare, own = [], []
    for _ in range(ROUNDS):
        bare.append(piece("bare_training", folder, trees))
        own.append(piece("own_training", folder, trees))
    ratio = median(o.seconds / b.seconds for o, b in zip(own, bare, strict=True))
    alone, mine = typical(bare), typical(own)
    told = f"{alone.seconds:.1f} s"
    yield Figure("training", f"bare XGBoost, {trees} trees, its rows ready in memory", told, memory=alone.memory)
    cap = FULL_MEMORY["training"]
    yield Figure(
        "training",
        "from training_features in the store",
        f"{mine.seconds:.1f} s",
        f"{cap:,} MiB",
        mine.memory < cap,
        mine.memory,
    )
    yield Figure("training", "the same / bare", f"{ratio:.2f}", *full_target(bench, "1.15", ratio <= 1.15))


def dask(bench: Bench) -> Iterator[Figure]:
    """Training on Dask's workers of this machine, from what the data path made."""
    _ = bench.data
    yield from dask_figures(bench.folder / "pure", GROWTH_TREES)


def search(bench: Bench) -> Iterator[Figure]:
    """What successive halving saves of the search, and what it costs."""
    _ = bench.data
    yield from search_figures(bench.folder / "pure")


def tuning(bench: Bench) -> Iterator[Figure]:
    """Trials, and the whole of `housing run`."""
    made = bench.platform
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{made.folder}/data/optuna/studies.db")
    seconds = [trial.user_attrs["seconds"] for trial in study.trials if "seconds" in trial.user_attrs]
    told, target = f"{median(seconds):.1f} s", full_target(bench, "12 s", median(seconds) <= 12)
    yield Figure("tuning", f"a trial of 3 folds, median of {len(seconds)}", told, *target, memory=made.tuned.memory)
    run = made.untuned
    target = full_target(bench, "75 s", run.seconds < 75)
    yield Figure("tuning", "`housing run` from nothing, no search", f"{run.seconds:.1f} s", *target, memory=run.memory)
    longest = sorted(made.seconds.items(), key=lambda step: step[1], reverse=True)[:6]
    told = ", ".join(f"{name} {took:.0f}" for name, took in longest)
    yield Figure("tuning", "its longest steps, in seconds", told)
    told = f"{made.tuned.seconds:.1f} s"
    yield Figure("tuning", "`housing run` after it, with the search", told, memory=made.tuned.memory)


def predictions(bench: Bench) -> Iterator[Figure]:
    """The backfill of every holdout month, and bare XGBoost on the same rows."""
    made = bench.platform
    model = load_champion(made.store).model()
    months = made.store.months("cleaned")
    held = [month for month in months.available() if month >= data_path.SPLIT.holdout_start]
    rows = months.read_many(held)
    matrix = feature_matrix(make_features(rows, model.encoders))
    model.trees.booster.set_param({"nthread": os.cpu_count()})
    bare = median(
        seconds(lambda: model.trees.booster.inplace_predict(matrix, validate_features=False)) for _ in range(ROUNDS)
    )
    runs = []
    for _ in range(ROUNDS):
        whole, steps = backfill(made, held)
        runs.append((whole, steps["monthly_predictions"], sum(s for n, s in steps.items() if n.endswith("_checks"))))
    whole, step, checks = (median(run[i] for run in runs) for i in range(3))
    name = f"predictions_job over {len(held)} months"
    yield Figure("predictions", f"{name}, with its checks", f"{whole:.1f} s", "8 s", whole <= 8)
    yield Figure("predictions", "the same for each month", f"{1e3 * whole / len(held):.0f} ms")
    yield Figure("predictions", "its checks", f"{checks:.1f} s")
    told = f"{step / bare:.1f} ({step:.2f} s / {bare:.2f} s)"
    yield Figure("predictions", f"monthly_predictions / bare inplace_predict of its {rows.height:,} rows", told)


def seconds(work: Callable[[], object]) -> float:
    """Of a piece of work."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def backfill(made: Made, months: Sequence[str]) -> tuple[float, dict[str, float]]:
    """One run of `predictions_job` in this process: its seconds, and those of its steps."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(made.folder / "data/dagster")) as instance:
        settings = Settings(source_uri=made.env["HOUSING_SOURCE_URI"], store_uri=made.store.uri, panel_end=PANEL_END)
        job = build_definitions(settings).resolve_job_def("predictions_job")
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        begun = time.perf_counter()
        done = job.execute_in_process(instance=instance, tags=month_tags(months), run_config=quiet)
        took = time.perf_counter() - begun
        stats = instance.get_run_step_stats(done.run_id)
        return took, {s.step_key: s.end_time - s.start_time for s in stats if s.start_time and s.end_time}


def startup(bench: Bench) -> Iterator[Figure]:
    """Until an answer is there. The API's start is in its own group, the dashboard's first paint as well."""
    made = bench.platform
    env = {**made.env, "DAGSTER_HOME": str(made.folder / "data/dagster")}
    for name, arguments in (
        ("`housing status`", [HOUSING, "status"]),
        ("`housing --help`", [HOUSING, "--help"]),
        ("`dagster definitions validate`", [DAGSTER, "definitions", "validate", "-m", "housing_assets.definitions"]),
    ):
        cost = typical([command(arguments, made.folder, env) for _ in range(ROUNDS)])
        yield Figure("startup", name, f"{cost.seconds:.1f} s", memory=cost.memory)


def growth(bench: Bench) -> Iterator[Figure]:
    """The data path, and training from what it made, over more and more rows."""
    base: dict[str, float] = {}
    for times in (1, 3, 10) if bench.full else (1, 3):
        source = bench.source if times == 1 else repeated(bench.source, bench.folder / f"panel-{times}.csv", times)
        folder = bench.folder / f"grown-{times}"
        rounds = 1 if times == 10 else ROUNDS
        path = typical([piece("pure", source, folder) for _ in range(rounds)])
        trained = piece("own_training", folder, GROWTH_TREES)
        rows = bench.rows * times
        for name, cost in ((f"data path, {times}x", path), (f"training of {GROWTH_TREES} trees, {times}x", trained)):
            each = 1e6 * cost.seconds / rows
            first = base.setdefault(name.partition(",")[0], each)
            told = f"{each:.2f} us a row ({cost.seconds:.1f} s, {cost.memory * 2**20 / rows:,.0f} bytes a row)"
            met = each <= 1.1 * first and cost.memory < GROWN_MEMORY
            target = ("1.1 x the time a row, 6 GiB", met) if times == 10 else ("", None)
            yield Figure("growth", f"{name} = {rows:,} rows", told, *target, memory=cost.memory)
        shutil.rmtree(folder)
        if times > 1:
            source.unlink()


def repeated(source: Path, path: Path, times: int) -> Path:
    """The panel as often as asked, each time with zips of its own."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as csv

    table = csv.read_csv(source)
    zips = table["zipcode"].unique().sort()
    place = table.schema.get_field_index("zipcode")
    rank = pc.index_in(table["zipcode"], zips)
    with path.open("wb") as file:
        for copy in range(times):
            names = pc.add(rank, pa.scalar(copy * len(zips), pa.int32()))
            part = table.set_column(place, "zipcode", names)
            csv.write_csv(part, file, csv.WriteOptions(include_header=copy == 0))
    return path


def forecast_figures(bench: "Bench") -> Iterator[Figure]:
    """Forecasts on the panel; of a file of another index than of zips, how they hold in every market.

    HALF=0 and HALF=1 take half of its regions, FIRST_MONTH and HOUSING_EVAL_START bound the months.
    """
    source = os.environ.get("HOUSING_SOURCE_URI", "")
    if not is_index(source):
        yield from history_figures(bench.platform.store)
        return
    half = os.environ.get("HALF")
    first, start = os.environ.get("FIRST_MONTH", ""), os.environ.get("HOUSING_EVAL_START", "2006-01")
    yield from market_figures(Path(source), int(half) if half else None, first, start)


GROUPS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "sources": lambda bench: source_figures(KEPT / "sources", bench.full),
    "nation": lambda bench: national_figures(KEPT / "nation", bench.full, step_seconds),
    "data": data,
    "dagster": dagster,
    "training": training,
    "dask": dask,
    "search": search,
    "growth": growth,
    "tuning": tuning,
    "accuracy": lambda bench: accuracy(bench.platform.store),
    "intervals": lambda bench: intervals(bench.platform.store),
    "forecasts": forecast_figures,
    "checks": lambda bench: checks(bench.platform.seconds),
    "predictions": predictions,
    "startup": startup,
    "serving": lambda bench: serving(bench.served),
    "sizes": lambda bench: size_figures(bench.served, bench.folder / "sizes", bench.full),
    "dashboard": lambda bench: dashboard_figures(bench.platform.store, bench.folder / "full"),
}
"""What can be measured, in order; ONLY names some of them."""


def main() -> None:
    """Measure group by group, print each as it ends, and keep all of it, also of what failed."""
    full = os.environ.get("FULL") == "1"
    asked = [name for name in os.environ.get("ONLY", "").split(",") if name] or list(GROUPS)
    if unknown := sorted(set(asked) - set(GROUPS)):
        sys.exit(f"ONLY={','.join(unknown)}: no such group; there are {', '.join(GROUPS)}")
    console = Console()
    console.width = max(console.width, 130)
    figures: list[Figure] = []
    took: dict[str, float] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="housing-bench-") as folder:
        bench = Bench(Path(folder), full)
        machine = about(bench)
        console.print(", ".join(f"{name} {value}" for name, value in machine.items()), soft_wrap=True, highlight=False)
        for name in asked:
            begun, found = time.perf_counter(), []
            console.print(f"{name} begins at {time.strftime('%H:%M:%S')}", highlight=False)
            try:
                for figure in GROUPS[name](bench):
                    found.append(figure)
                    print(f"{name}, {time.perf_counter() - begun:.0f} s: {figure.name}: {figure.value}", flush=True)
            except Exception as error:
                traceback.print_exc()
                failed[name] = f"{type(error).__name__}: {error}"
            took[name] = time.perf_counter() - begun
            figures += found
            console.print(shown(name, found, took[name]))
            keep(machine, figures, took, failed, full)
    console.print(f"kept in {KEPT}/{size(full)}.md and .json")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def about(bench: Bench) -> dict[str, str]:
    """The machine, the versions and the size of the data."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    megabytes = bench.source.stat().st_size / 1e6
    versions = {name: version(name) for name in ("dagster", "polars", "pyarrow", "xgboost-cpu")}
    return {
        "cores": f"{os.cpu_count()} ({cpu[1].strip() if cpu else platform_name()})",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform_name(),
        "Python": sys.version.split()[0],
        **versions,
        "panel": f"{bench.rows:,} rows x {len(COLUMN_NAMES)} columns, {megabytes:.0f} MB of CSV",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def shown(name: str, figures: Sequence[Figure], seconds: float) -> Table:
    """One group for the terminal."""
    table = Table(title=f"{name}, measured in {seconds:.0f} s", title_justify="left", title_style="bold")
    for column in ("figure", "value", "MiB", "target", "met"):
        table.add_column(column, justify="right" if column == "MiB" else "left")
    for figure in figures:
        table.add_row(*cells(figure))
    return table


def cells(figure: Figure) -> list[str]:
    """A figure without its group, as text."""
    memory = "" if figure.memory is None else f"{figure.memory:,.0f}"
    return [figure.name, figure.value, memory, figure.target, {None: "", True: "yes", False: "NO"}[figure.met]]


def keep(
    machine: Mapping[str, str],
    figures: Sequence[Figure],
    took: Mapping[str, float],
    failed: Mapping[str, str],
    full: bool,
) -> None:
    """Write what there is so far as JSON and as one table in Markdown."""
    KEPT.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine, "figures": [asdict(f) for f in figures], "seconds": took, "failed": failed}
    (KEPT / f"{size(full)}.json").write_text(json.dumps(told, indent=2) + "\n")
    lines = [f"# Benchmarks, {size(full)} panel", "", *(f"- {name}: {value}" for name, value in machine.items()), ""]
    lines += ["| group | figure | value | MiB | target | met |", "| --- | --- | --- | ---: | --- | --- |"]
    lines += [f"| {figure.group} | {' | '.join(cells(figure))} |" for figure in figures]
    lines += ["", "Seconds of each group: " + ", ".join(f"{name} {s:.0f}" for name, s in took.items()) + "."]
    lines += [f"\nFailed: {name}: {error}" for name, error in failed.items()]
    (KEPT / f"{size(full)}.md").write_text("\n".join(lines) + "\n")


def size(full: bool) -> str:
    """What the files are called."""
    return "full" if full else "default"


if __name__ == "__main__":
    main()
