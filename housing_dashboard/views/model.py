"""The champions: what predicts and what forecasts, how they do against others, where they err, what they look at."""

import numpy as np
import polars as pl
import streamlit as st

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.baselines.prices import NAIVE_PRICE_LABELS
from housing_assets.core.evaluation.models import ITSELF
from housing_assets.core.features.monthly import describe_feature
from housing_assets.core.forecasting.schema import MODEL, PUBLISHED
from housing_dashboard import charts, data, figures, shell

_TOP = 15
_NAMES = {
    "tuned_model": "tuned",
    f"tuned_model{ITSELF}": "tuned, its own numbers",
    f"champion{ITSELF}": "champion, its own numbers",
    "baseline_model": "baseline",
    **NAIVE_PRICE_LABELS,
    "flat": "price of the month before",
    **{name: figures.PREDICTOR_NAMES[name] for name in NAIVE_GROWTH if name != "flat"},
}
_SPLITS = {"holdout": "holdout: months no model has seen", "eval": "eval: months that decided"}


def page() -> None:
    """The page."""
    shell.header("Model", "Which model is this, how good is it, where is it wrong, and what drives it?")
    with shell.guard():
        found = data.champion()
        if found is None:
            shell.empty("There is no champion yet", "Run `make run`, or `training_job` in Dagster.")
            return
        card(found)
    months = data.months_of("monthly_predictions")
    rows = data.predictions(months)
    shell.damaged(rows.damaged)
    with shell.guard():
        histories(found.bundle.version, rows.frame)
    with shell.guard():
        compared()
    with shell.guard():
        earlier(found)
    with shell.guard():
        forecasts()
    if not rows.frame.is_empty():
        with shell.guard():
            errors(figures.with_errors(rows.frame))
    with shell.guard():
        drivers(found.bundle.version)
    with shell.guard():
        tuned(found)
    with shell.guard():
        decided(found)


def card(found: data.Champion) -> None:
    """What the champion was made from."""
    manifest = found.bundle.manifest
    months = manifest.get("months", {})
    one, two, three = st.columns(3)
    one.metric("Version", found.bundle.version, border=True)
    two.metric("Trained on", " to ".join(months.get("train", ["unknown"])), border=True)
    three.metric("Made", str(manifest.get("created", ""))[:10], border=True)
    if found.provisional:
        st.warning(f"This champion is provisional, the best that there is: {found.provisional}")
    if told := found.publication.words():
        st.info(f"What it publishes: {told}.")
    with st.expander("Parameters, rows and libraries"):
        st.json(
            {
                name: manifest.get(name)
                for name in ("parameters", "rows", "months", "judged", "tuning", "libraries", "origin")
            }
        )
    urls = data.settings()
    st.markdown(f"[Its runs in MLflow]({urls.mlflow_url}) · [its assets in Dagster]({urls.dagster_url})")


def histories(version: str, rows: pl.DataFrame) -> None:
    """How many zips are predicted from their own past, and what that is worth."""
    if "from_history" not in rows.columns or rows["from_history"].null_count() == rows.height:
        return
    st.subheader("With a history and without", anchor=False)
    table = figures.by_kind(rows.drop_nulls("from_history"))
    kinds = {row["from_history"]: row for row in table.to_dicts()}
    share = 100 * float(rows["from_history"].fill_null(False).mean())  # type: ignore[arg-type]
    told = (
        f"A zip with a year of known prices is predicted from them: **{share:.1f}%** of {rows.height:,} predictions. "
    )
    told += "Another is predicted from the figures of its month alone. "
    for kind, name in ((True, "with a history"), (False, "without")):
        row = kinds.get(kind)
        if row and row["mape"] is not None:
            told += f"Predictions {name} erred by {figures.percent(row['mape'])} on average, "
            told += f"{row['coverage']:.1f}% of prices inside intervals {figures.percent(row['width'])} wide. "
    of_eval, without = data.eval_figures(version), data.eval_figures_without_history(version)
    if without:
        told += (
            f"On eval it errs by {figures.percent(of_eval['mape'])}, and by {figures.percent(without['mape'])} if no "
        )
        told += "history is used."
    st.markdown(told)


def compared() -> None:
    """Figures on eval and holdout beside those of the others."""
    table = data.read_table("model_evaluation")
    if table is None:
        return
    st.subheader("Against others", anchor=False)
    overall = table.filter(by="overall").with_columns(pl.col("predictor").replace(_NAMES))
    for split in ("holdout", "eval"):
        part = overall.filter(split=split).sort("mape")
        best = part.row(0, named=True)
        told = f"Mean absolute error in percent on {split}, on a logarithmic axis; the least is {best['predictor']}'s: "
        told += f"{figures.percent(best['mape'])}."
        kept = part.select("predictor", "rows", "mae", "rmse", "mape", "mdape", "within_5", "coverage")
        shell.chart(charts.dots(part, "predictor", "mape", "mean % error"), told, kept, f"against-{split}")


def earlier(found: data.Champion) -> None:
    """Figures of every champion so far, each as it was when it was trained."""
    table = data.champions(found)
    if table.is_empty():
        return
    told = f"Champions so far: {table['version'].n_unique()}. Their figures are those on eval when they were trained."
    st.caption(told)
    shell.show_table(table, "champions", told)


def forecasts() -> None:
    """What forecasts, whose forecast is published, and how it does by horizon."""
    st.subheader("Forecasts", anchor=False)
    found = data.published_forecasts()
    graded = data.read_table("forecast_evaluation")
    if found is None or graded is None:
        shell.empty(
            "Nothing is forecast yet",
            "Run `make run`, or `forecast_job` in Dagster: it says how many months before the evaluation it needs.",
        )
        return
    version, published = found
    overall = graded.filter(by="overall")
    table = figures.published_table(overall, published)
    st.markdown(f"{figures.who_forecasts(published)} Forecast model: {version}.")
    there = [split for split in _SPLITS if split in graded["split"].unique()]
    split = shell.choice("Graded on", there, "split", there[0], format_func=_SPLITS.__getitem__)
    left, right = st.columns(2)
    with left, shell.guard():
        by_horizon(overall.filter(split=split), split)
    with right, shell.guard():
        skill(split)
    shell.show_table(table, "published", "Whose forecast is published by horizon, and its error beside the best naive")
    with shell.guard():
        coverage(split)
    with shell.guard():
        by_metro(graded.filter(by="metro", split=split, predictor=PUBLISHED))
    with shell.guard():
        decisions = data.forecast_decisions()
        if decisions:
            newest = decisions[0]
            st.markdown(
                f"The newest decision, on {newest['candidate']}: **{newest['outcome']}**, because {newest['reason']}."
            )


def by_horizon(overall: pl.DataFrame, split: str) -> None:
    """Errors of everyone by horizon."""
    table = overall.pivot("predictor", index="horizon", values="mape").sort("horizon")
    shown = [name for name in (PUBLISHED, MODEL, *NAIVE_GROWTH) if name in table.columns]
    if MODEL in shown and table[MODEL].equals(table[PUBLISHED], check_names=False):
        shown.remove(PUBLISHED)  # the same line
    first, last = table.row(0, named=True), table.row(-1, named=True)
    told = f"Mean absolute % error on {split} by months ahead: what is published errs by "
    told += f"{figures.percent(first[PUBLISHED])} at {first['horizon']} and {figures.percent(last[PUBLISHED])} at "
    told += f"{last['horizon']}."
    names = {name: figures.predictor_name(name) for name in shown}
    shell.chart(charts.lines(table, "horizon", names, "months ahead"), told, table, "forecast-errors")


def skill(split: str) -> None:
    """What the model saves of each baseline's error, with its uncertainty."""
    table = data.read_table("forecast_skill")
    if table is None:
        return
    part = table.filter(split=split)
    if part.is_empty():
        shell.empty(f"No skill is known on {split}", "Materialize `forecast_evaluation` again.")
        return
    sure = figures.surely_skilled(part)
    told = "Share of each naive baseline's error that the model saves, with its 95% interval from resampling months. "
    told += (
        f"It beats every one of them, whatever months are drawn, {figures.spans(sure)} ahead."
        if sure
        else "At no horizon does it beat every one of them whatever months are drawn."
    )
    names = {name: figures.predictor_name(name) for name in NAIVE_GROWTH}
    written = part.drop("split").with_columns(pl.col("against").replace(figures.PREDICTOR_NAMES))
    shell.chart(charts.skill(part, names), told, written, "skill")


def coverage(split: str) -> None:
    """Do the intervals hold, by horizon and year, and how wide are they?"""
    table = data.read_table("forecast_coverage")
    if table is None or (part := table.filter(split=split)).is_empty():
        return
    held, width = (part.pivot("year", index="horizon", values=v).sort("horizon") for v in ("coverage", "width"))
    years = {year: year for year in part["year"].unique().sort()}
    worst = part.sort("coverage").row(0, named=True)
    one, two = st.columns(2)
    with one:
        share = float(np.average(part["coverage"], weights=part["rows"]))
        told = f"Share of prices inside their 90% interval on {split}: {share:.1f}% overall; the least is "
        told += f"{worst['coverage']:.1f}%, {worst['horizon']} ahead in {worst['year']}."
        least = min(70.0, 10 * (worst["coverage"] // 10))
        figure = charts.lines(held, "horizon", years, "months ahead", 90, least)
        shell.chart(figure, told, held, "forecast-coverage")
    with two:
        told = "Width of these intervals, in percent of the forecast: what the coverage costs."
        shell.chart(charts.lines(width, "horizon", years, "months ahead"), told, width, "forecast-width")


def by_metro(graded: pl.DataFrame) -> None:
    """Where forecasts err most."""
    if graded.is_empty():
        return
    grid = graded.sort("horizon").pivot("horizon", index="group", values="mape").sort("group")
    last = graded.filter(horizon=graded["horizon"].max()).sort("mape").row(-1, named=True)
    told = f"Mean absolute % error of what is published by metro and months ahead. The largest {last['horizon']} ahead "
    told += f"is {last['group'] or 'no metro'}'s: {figures.percent(last['mape'])}."
    shell.chart(charts.heat(grid, "group", "% error"), told, grid, "forecast-metros")


def errors(rows: pl.DataFrame) -> None:
    """Where and when it errs, how errors are spread, and whether intervals hold."""
    known = rows.drop_nulls("actual_price")
    if known.is_empty():
        shell.empty("No actual price is known yet", "Errors are shown once there are some.")
        return
    st.subheader("Where predictions are wrong", anchor=False)
    grid = figures.error_grid(known)
    worst = figures.by_metro(known).sort("mape").row(-1, named=True)
    told = f"Mean absolute % error by metro and month. The largest is {worst['city_full']}'s: "
    told += f"{figures.percent(worst['mape'])}."
    shell.chart(charts.heat(grid, "city_full", "% error"), told, grid, "error-grid")
    one, two = st.columns(2)
    with one:
        percent = known["percent"]
        low = 100 * float((percent < 0).mean())  # type: ignore[arg-type]
        told = f"Errors in percent of the actual price; {low:.0f}% of {known.height:,} predictions were too low."
        quantiles = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
        edges = percent.clip(percent.quantile(quantiles[0]), percent.quantile(quantiles[-1]))
        table = pl.DataFrame({"quantile": quantiles, "% error": [percent.quantile(q) for q in quantiles]})
        shell.chart(
            charts.distribution(edges, "% error (the most extreme hundredth at each edge)"), told, table, "residuals"
        )
    with two:
        held = figures.calibration(known)
        inside = 100 * float(known["inside"].mean())  # type: ignore[arg-type]
        told = f"Share of actual prices inside their 90% interval: {inside:.1f}% over all months."
        shell.chart(charts.calibration_bars(held), told, held, "calibration")


def drivers(version: str) -> None:
    """What the trees look at."""
    st.subheader("What drives it where there is no history", anchor=False)
    described = pl.col("feature").map_elements(describe_feature, pl.String).alias("what it is")
    table = data.importance(version).with_columns(described)
    first = table.row(0, named=True)
    told = f"Share of the total gain of all splits; the first is {first['what it is'].lower()}: {first['share']:.1f}%."
    shell.chart(charts.bars(table.head(_TOP), "what it is", "share", "% of the gain"), told, table, "importance")


def tuned(found: data.Champion) -> None:
    """The trials of the search that found its hyperparameters."""
    st.subheader("How it was tuned", anchor=False)
    history = found.bundle.manifest.get("tuning", {}).get("history")
    if not history:
        st.markdown("Its hyperparameters were given, not searched for.")
        return
    table = pl.DataFrame(history, infer_schema_length=None)
    complete = table.filter(state="complete")
    best = complete.sort("score").row(0, named=True)
    told = f"Error of each of {table.height} trials on months inside train; the least is trial {best['trial']}'s: "
    told += f"{figures.percent(100 * best['score'])} of the mean price. "
    told += f"{table.height - complete.height} were given up early."
    shell.chart(charts.trials(table), told, table, "trials")


def decided(found: data.Champion) -> None:
    """Every promotion decision, with its reason."""
    st.subheader("Decisions", anchor=False)
    names = {"decided": "decided", "version": "candidate", "outcome": "outcome", "reason": "reason"}
    rows = [{ours: decision.get(theirs) for ours, theirs in names.items()} for decision in found.decisions]
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))
    if table.height:
        newest = table.row(0, named=True)
        st.markdown(f"The newest, on {newest['version']}: **{newest['outcome']}**, because {newest['reason']}.")
    shell.show_table(table, "decisions", "Promotion decisions, the newest first")
    st.caption(f"{len(data.versions())} versions are kept; `housing promote VERSION --reason WHY` goes back to one.")


page()
