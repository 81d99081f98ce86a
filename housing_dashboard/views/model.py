"""The champion: what it was made from, how it does against others, where it errs, and what it looks at."""

import polars as pl
import streamlit as st

from housing_assets.core.features import describe_feature
from housing_dashboard import charts, data, figures, shell

_TOP = 15
_NAMES = {"tuned_model": "tuned", "baseline_model": "baseline", "train_median": "median of train",
          "metro_median": "median of the metro", "last_known_price": "last price in train"}  # fmt: skip


def page() -> None:
    """The page."""
    shell.header("Model", "Which model is this, how good is it, where is it wrong, and what drives it?")
    with shell.guard():
        found = data.champion()
        if found is None:
            shell.empty("There is no champion yet", "Run `make run`, or `training_job` in Dagster.")
            return
        card(found)
    with shell.guard():
        compared()
    with shell.guard():
        earlier(found)
    months = data.months_of("monthly_predictions")
    rows = data.predictions(months)
    shell.damaged(rows.damaged)
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
    with st.expander("Parameters, rows and libraries"):
        st.json(
            {name: manifest.get(name) for name in ("parameters", "rows", "months", "tuning", "libraries", "origin")}
        )
    urls = data.settings()
    st.markdown(f"[Its runs in MLflow]({urls.mlflow_url}) · [its assets in Dagster]({urls.dagster_url})")


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
        told = f"Mean absolute error in percent on {split}; the least is {best['predictor']}'s: {best['mape']:.1f}%."
        kept = part.select("predictor", "rows", "mae", "rmse", "mape", "mdape", "within_10", "coverage")
        shell.chart(charts.bars(part, "predictor", "mape", "mean % error"), told, kept, f"against-{split}")


def earlier(found: data.Champion) -> None:
    """Figures of every champion so far, each as it was when it was trained."""
    table = data.champions(found)
    if table.is_empty():
        return
    told = f"Champions so far: {table['version'].n_unique()}. Their figures are those on eval when they were trained."
    st.caption(told)
    shell.show_table(table, "champions", told)


def errors(rows: pl.DataFrame) -> None:
    """Where and when it errs, how errors are spread, and whether intervals hold."""
    known = rows.drop_nulls("actual_price")
    if known.is_empty():
        shell.empty("No actual price is known yet", "Errors are shown once there are some.")
        return
    st.subheader("Where it is wrong", anchor=False)
    grid = figures.error_grid(known)
    worst = figures.by_metro(known).sort("mape").row(-1, named=True)
    told = f"Mean absolute % error by metro and month. The largest is {worst['city_full']}'s: {worst['mape']:.1f}%."
    shell.chart(charts.heat(grid, "city_full", "% error"), told, grid, "error-grid")
    one, two = st.columns(2)
    with one:
        percent = known["percent"]
        low = 100 * float((percent < 0).mean())  # type: ignore[arg-type]
        told = f"Errors in percent of the actual price; {low:.0f}% of {known.height:,} predictions were too low."
        edges = percent.clip(-60, 60)
        quantiles = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
        table = pl.DataFrame({"quantile": quantiles, "% error": [percent.quantile(q) for q in quantiles]})
        shell.chart(charts.distribution(edges, "% error (beyond 60% at the edge)"), told, table, "residuals")
    with two:
        held = figures.calibration(known)
        inside = 100 * float(known["inside"].mean())  # type: ignore[arg-type]
        told = f"Share of actual prices inside their 90% interval: {inside:.1f}% over all months."
        shell.chart(charts.calibration_bars(held), told, held, "calibration")


def drivers(version: str) -> None:
    """What the trees look at."""
    st.subheader("What drives it", anchor=False)
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
    told += f"{100 * best['score']:.1f}% of the mean price. {table.height - complete.height} were given up early."
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
