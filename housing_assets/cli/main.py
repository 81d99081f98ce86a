"""The command line: `housing sample | run | predict | promote | checks | check | serve | start | databases | …`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from housing_assets.core.catalogue import INTERVAL_CALIBRATION
from housing_assets.core.errors import HousingError

NEEDS_ATTENTION = 3
"""Exit code of `housing status --exit-code` where something needs a person: 1 is an error, 2 a usage error."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Monthly ZIP-code housing prices: from a raw panel to predictions.",
)


def main() -> None:
    """Run a command; an error that the user can mend is one message, and exit code 1."""
    try:
        app()
    except HousingError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)


@app.command()
def sample(
    out: Annotated[
        Path,
        typer.Option(help="File to write: .csv (.tsv), or .parquet of housets; a further .gz, .zip, .zst packs it"),
    ],
    zips: Annotated[int, typer.Option(help="Number of ZIP codes")] = 400,
    start: Annotated[str, typer.Option(help="First month, YYYY-MM")] = "2012-03",
    end: Annotated[str, typer.Option(help="Last month, YYYY-MM")] = "2023-12",
    seed: Annotated[int, typer.Option(help="Same seed, same panel")] = 7,
    dirt: Annotated[bool, typer.Option(help="Plant what cleaning has to deal with (housets alone)")] = True,
    layout: Annotated[
        str, typer.Option(help="Of the file: housets, zillow (wide prices), redfin (tracker)")
    ] = "housets",
    vintage: Annotated[int, typer.Option(help="Publication: each after the first is revised and a month longer")] = 1,
) -> None:
    """Write a synthetic panel in the layout of a publisher."""
    from housing_assets.core.months import parse_month
    from housing_assets.core.sample.spec import SampleSpec
    from housing_assets.core.sample.writers import write_sample

    spec = SampleSpec(zips, parse_month(start), parse_month(end), seed, dirt)
    report = write_sample(spec, out, layout=layout, vintage=vintage)
    typer.echo(f"{out}: {report.rows:,} rows, synthetic")
    for kind, count in report.planted.items():
        typer.echo(f"  {kind}: {count:,}")


@app.command()
def run(
    months: Annotated[
        str | None, typer.Option(help="FIRST:LAST (YYYY-MM): ingest and predict these months alone")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Tuning trials; 0: none; default: HOUSING_TUNE_TRIALS")] = None,
    force: Annotated[bool, typer.Option(help="Run every stage, also what is up to date")] = False,
    accept_restated: Annotated[
        str, typer.Option(help="Accept a vintage that cannot be a revision of the one before it: why")
    ] = "",
) -> None:
    """Take the raw panel to monthly predictions: what `make run` calls."""
    from housing_assets.cli.run import run_platform
    from housing_assets.config.settings import load_settings

    run_platform(load_settings(), dagster_home(), months, trials, force, accept_restated)


@app.command()
def predict(
    input: Annotated[str, typer.Option(help="Raw rows: .csv or .parquet; `date` and `zipcode` are required")],
    output: Annotated[Path, typer.Option(help="Predictions: .csv or .parquet, one row for each input row")],
) -> None:
    """Predict raw rows with the champion, in input order."""
    import polars as pl

    from housing_assets.config.settings import load_settings
    from housing_assets.core.models.publication import MODEL
    from housing_assets.core.panel.cleaning import standardize
    from housing_assets.core.panel.places import is_unknown
    from housing_assets.core.source.panel import read_rows
    from housing_assets.store.blobs import FolderBlobs
    from housing_assets.store.gates import require
    from housing_assets.store.histories import ASSET, read_sound_history
    from housing_assets.store.layout import Store
    from housing_assets.store.parquet import encode_parquet
    from housing_assets.store.pointers import load_champion, newest_intervals
    from housing_assets.store.verdicts import data_stamps

    if output.suffix not in (".csv", ".parquet"):
        raise HousingError(f"--output {output}: its name must end in .csv or .parquet")
    store = Store.open(load_settings().store_uri)
    model = load_champion(store).model()
    raw = read_rows(input)
    rows = standardize(raw)
    history = read_sound_history(store) if "" in data_stamps(store, ASSET) else None
    require(store, "housing predict", {ASSET: [""] if history else [], INTERVAL_CALIBRATION: []})
    predicted = model.predict(rows, history, newest_intervals(store, model.version))
    unknown = sum(map(is_unknown, raw["city_full"]))
    data = predicted.write_csv().encode() if output.suffix == ".csv" else encode_parquet(predicted)
    FolderBlobs(output.parent).write(output.name, data)
    typer.echo(f"{output}: {predicted.height:,} predictions by {model.version}")
    for predictor, count in predicted.group_by("predictor").len().filter(pl.col("predictor") != MODEL).iter_rows():
        typer.echo(f"{count:,} of them are the number of {predictor}, which was better than the model on eval")
    if unknown:
        typer.echo(f"note: {unknown:,} rows have no metro that is known: they are pooled with their state")
    priced = predicted.filter(pl.col("actual_price").is_not_null())
    if priced.height:
        error = ((priced["predicted_price"] - priced["actual_price"]).abs() / priced["actual_price"]).mean()
        typer.echo(f"mean absolute error of the {priced.height:,} rows with a price: {100 * float(error):.2f}%")  # type: ignore[arg-type]


@app.command()
def promote(
    version: Annotated[
        str, typer.Argument(help="Version to make the champion, or the one that forecasts: a folder name under models/")
    ],
    reason: Annotated[str, typer.Option(help="Why; it is recorded beside the bundle")],
) -> None:
    """Make any complete version the champion, of forecasts if it is a forecast model: how to roll back to another."""
    from housing_assets.config.settings import load_settings
    from housing_assets.ingestion.panel_split import known_split
    from housing_assets.store.forecasts import BY_HAND, is_forecast_version, publish_forecasts_of
    from housing_assets.store.layout import Store
    from housing_assets.store.pointers import FORECAST_POINTER, POINTER, champion_version, point_to, record_decision

    settings = load_settings()
    store, forecasts = Store.open(settings.store_uri), is_forecast_version(version)
    try:
        before = champion_version(store, FORECAST_POINTER if forecasts else POINTER)
    except HousingError:
        before = None
    if forecasts:
        publish_forecasts_of(store, version, known_split(settings, store).split)
    else:
        point_to(store, version)
    record = {"outcome": "promoted", "reason": f"{BY_HAND}{reason}", "evidence": {"champion": before}}
    where = record_decision(store, version, record)
    what, outputs = ("forecast model", "forecasts") if forecasts else ("champion", "intervals and predictions")
    typer.echo(f"the {what} is {version} (before: {before or 'none'}); recorded in {where}")
    typer.echo(f"`housing run` makes {outputs} of the new {what}")


@app.command()
def checks() -> None:
    """Every check, what it protects against, whether it blocks, and what to do when it is red, in Markdown."""
    from housing_assets.core.quality.rules import rule_page

    typer.echo(rule_page(), nl=False)


@app.command()
def check(
    asset: Annotated[str, typer.Argument(help="An asset, such as cleaned")],
    months: Annotated[
        str | None, typer.Option(help="FIRST:LAST or one month (YYYY-MM); default: every month that is there")
    ] = None,
) -> None:
    """Check what is there again, without making it again; exit code 1 if a check that blocks is broken."""
    from housing_assets.config.settings import load_settings
    from housing_assets.orchestration.checks.alone import check_alone

    check_alone(load_settings(), dagster_home(), asset, months)


@app.command()
def serve() -> None:
    """Dagster's UI and daemon, the API, the dashboard and MLflow on this machine: what `make serve` calls."""
    from housing_assets.cli.serve import serve as serve_all
    from housing_assets.config.settings import load_settings

    dagster_home()
    serve_all(load_settings(), Path("data/logs"))


@app.command(context_settings={"ignore_unknown_options": True})
def start(
    command: Annotated[list[str], typer.Argument(help="Of Dagster, such as dagster-webserver -w workspace.yaml")],
) -> None:
    """Write the instance's dagster.yaml into DAGSTER_HOME and become a command: how containers start Dagster.

    A variable that makes no sense is named before that.
    """
    from housing_assets.config.settings import load_settings

    load_settings()
    dagster_home()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise HousingError(f"{command[0]} cannot be started: {error.strerror}") from error


@app.command()
def databases() -> None:
    """Make the PostgreSQL databases that the environment names, where they are missing."""
    from housing_assets.config.databases import VARIABLES, create_databases

    for name, new in create_databases(os.environ).items():
        typer.echo(f"{name}: {'made' if new else 'there already'}")
    typer.echo(f"looked at {', '.join(VARIABLES)}")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs")] = False,
    as_metrics: Annotated[bool, typer.Option("--metrics", help="Prometheus' text format")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Leave with 3 if something needs attention, and say what on stderr")
    ] = False,
) -> None:
    """What is materialized, the champion, the last checks, and what succeeded when."""
    from housing_assets.cli.status import show_status
    from housing_assets.config.settings import load_settings

    if as_json and as_metrics:
        raise typer.BadParameter("choose one of --json and --metrics")
    attention = show_status(load_settings(), dagster_home(), as_json, as_metrics)
    if exit_code and attention:
        typer.echo("\n".join(attention), err=True)
        raise typer.Exit(NEEDS_ATTENTION)


@app.command()
def metrics(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on", min=1, max=65_535)] = 9250,
    every: Annotated[float, typer.Option(help="Seconds between two looks at the store", min=1)] = 60,
) -> None:
    """Serve to Prometheus how the platform's work stands, and log a line of it at each look."""
    from housing_assets.cli.metrics import serve_metrics
    from housing_assets.config.settings import load_settings

    serve_metrics(load_settings(), dagster_home(), host, port, every)


def dagster_home() -> Path:
    """DAGSTER_HOME, made if it is not there, with the instance's `dagster.yaml` in it.

    Raises:
        HousingError: the folder cannot be made.
    """
    from housing_assets.config.instance import load_instance_settings, write_instance

    home = Path(os.environ.setdefault("DAGSTER_HOME", str(Path("data/dagster").absolute()))).absolute()
    os.environ["DAGSTER_HOME"] = str(home)
    write_instance(home, load_instance_settings(), os.environ.get("AWS_ENDPOINT_URL", ""))
    return home
