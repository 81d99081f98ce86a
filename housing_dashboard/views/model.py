"""The Model page: the champions, their errors beside other predictors, their features, tuning and decisions."""

import polars as pl
import streamlit as st

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.baselines.prices import NAIVE_PRICE_LABELS
from housing_assets.core.evaluation.models import ITSELF
from housing_assets.core.features.monthly import describe_feature
from housing_dashboard import charts, data, figures, shell
from housing_dashboard.parts import champions, graded

_TOP = 15
_PARTS = ["Prices", "Forecasts", "Champions and decisions"]
_NAMES = {
    "tuned_model": "tuned",
    f"tuned_model{ITSELF}": "tuned, its own numbers",
    f"champion{ITSELF}": "champion, its own numbers",
    "baseline_model": "baseline",
    **NAIVE_PRICE_LABELS,
    "flat": "price of the month before",
    **{name: figures.PREDICTOR_NAMES[name] for name in NAIVE_GROWTH if name != "flat"},
}


def page() -> None:
    """The page."""
    shell.header("Model", "Which model is in use, how accurate is it, where is it wrong, and which features matter?")
    champion = None
    with shell.guard():
        champion = data.champion()
        if champion is None:
            shell.empty("There is no champion yet", "Run `make run`, or `training_job` in Dagster.")
            return
        card(champion)
    parts(champion)


def parts(champion: data.Champion | None) -> None:
    """All below the card of the champion, in tabs; without one that can be read, what does not rest on it."""
    rows = data.predictions(data.months_of("monthly_predictions"))
    shell.damaged(rows.damaged)
    # What is in a closed tab is not on the page, so it would not be printed.
    whole = st.toggle("All parts below one another, as for printing", key="whole")
    prices, forecasts, decided = [st.container() for _ in _PARTS] if whole else st.tabs(_PARTS)
    with prices, shell.contents("contents-prices"):
        of_prices(champion, rows.frame)
    with forecasts, shell.contents("contents-forecasts"), shell.guard():
        graded.forecasts()
    with decided, shell.contents("contents-decisions"):
        if champion is not None:
            with shell.guard():
                champions.history(champion)
            with shell.guard():
                champions.decisions(champion)
        with shell.guard():
            champions.of_forecasts()


def of_prices(champion: data.Champion | None, rows: pl.DataFrame) -> None:
    """How good predictions of prices are, where they are wrong, and what drives them."""
    if champion is not None:
        with shell.guard():
            histories(champion.bundle.version, rows)
    with shell.guard():
        compared()
    if not rows.is_empty():
        with shell.guard():
            errors(figures.with_errors(rows))
    if champion is not None:
        with shell.guard():
            drivers(champion.bundle.version)
        with shell.guard():
            tuned(champion)


def card(champion: data.Champion) -> None:
    """The champion: version, training months, parameters and links."""
    manifest = champion.bundle.manifest
    months = manifest.get("months", {})
    one, two, three = st.columns(3)
    shell.metric(one, "Version", champion.bundle.version, border=True)
    shell.metric(two, "Graded by a fit on", " to ".join(months.get("train", ["unknown"])), border=True)
    shell.metric(three, "Made", str(manifest.get("created", ""))[:10], border=True)
    if champion.provisional:
        st.warning(f"This champion is provisional, because none has passed promotion: {champion.provisional}")
    if sentence := champion.publication.words():
        st.info(f"Published predictions: {sentence}.")
    with st.expander("Parameters, rows and libraries"):
        st.json(
            {
                name: manifest.get(name)
                for name in (
                    "parameters",
                    "rows",
                    "months",
                    "trees_learned_before",
                    "history",
                    "judged",
                    "tuning",
                    "libraries",
                    "origin",
                )
            }
        )
    urls = data.settings()
    links = [f"[All runs in MLflow]({urls.mlflow_url})", f"[its assets in Dagster]({urls.dagster_url})"]
    origin = manifest.get("origin") or {}
    if run := champions.dagster_link(origin.get("dagster_run")):
        links.append(f"[the run that made it]({run})")
    if run := champions.mlflow_link(origin.get("mlflow_run")):
        links.append(f"[that run in MLflow]({run})")
    st.markdown(" · ".join(links))
    shell.api_link("/model", "the API call behind this page")


def histories(version: str, rows: pl.DataFrame) -> None:
    """The share of predictions from a zip's own history, and the errors with and without one."""
    if "from_history" not in rows.columns or rows["from_history"].null_count() == rows.height:
        return
    shell.section("With and without history")
    table = figures.by_kind(rows.drop_nulls("from_history"))
    kinds = {row["from_history"]: row for row in table.to_dicts()}
    share = 100 * float(rows["from_history"].fill_null(False).mean())  # type: ignore[arg-type]
    sentence = (
        f"A zip with a year of known prices is predicted from them: **{share:.1f}%** of {rows.height:,} predictions. "
    )
    sentence += "Other zips are predicted from the figures of the month alone. "
    for kind, name in ((True, "with history"), (False, "without history")):
        row = kinds.get(kind)
        if row and row["mape"] is not None:
            sentence += f"The mean error of predictions {name} is {figures.percent(row['mape'])}, "
            sentence += (
                f"with {row['coverage']:.1f}% of prices in intervals of median width {figures.percent(row['width'])}. "
            )
    of_eval, without = data.eval_figures(version), data.eval_figures_without_history(version)
    if without:
        sentence += (
            f"The mean error on eval is {figures.percent(of_eval['mape'])}, and {figures.percent(without['mape'])} "
            "if no "
        )
        sentence += "history is used."
    st.markdown(sentence)


def compared() -> None:
    """Errors on eval and holdout beside those of other predictors."""
    table = data.read_table("model_evaluation")
    if table is None:
        return
    shell.section("Against other predictors")
    overall = table.filter(by="overall").with_columns(pl.col("predictor").replace(_NAMES))
    for column, split in zip(st.columns(2), ("holdout", "eval"), strict=True):
        part = overall.filter(split=split).sort("mape")
        best = part.row(0, named=True)
        sentence = (
            f"Mean absolute error in percent on {split}, on a logarithmic axis. The lowest is that of "
            f"“{best['predictor']}”: {figures.percent(best['mape'])}."
        )
        kept = part.select("predictor", "rows", "mae", "rmse", "mape", "mdape", "within_5", "coverage")
        with column:
            shell.chart(
                charts.dots(part, "predictor", "mape", f"mean % error on {split}"), sentence, kept, f"against-{split}"
            )


def errors(rows: pl.DataFrame) -> None:
    """Errors by metro and month, their distribution, and the coverage of intervals."""
    known = rows.drop_nulls("actual_price")
    if known.is_empty():
        shell.empty("No actual price is known yet", "Errors are shown once actual prices are known.")
        return
    shell.section("Where predictions are wrong")
    grid = figures.error_grid(known)
    worst = figures.by_metro(known).sort("mape").row(-1, named=True)
    sentence = (
        "Mean absolute % error by metro and month. The largest is that of "
        f"{worst['city_full'] or 'zips without a metro'}: "
    )
    sentence += f"{figures.percent(worst['mape'])}."
    largest = figures.by_metro(known).sort("mape", descending=True).head(graded.MOST_METROS)["city_full"]
    shown = grid.filter(pl.col("city_full").is_in(largest.implode(), nulls_equal=True))
    shell.chart(charts.heat(shown, "city_full", "% error"), f"{sentence}{graded.left_out(grid)}", grid, "error-grid")
    one, two = st.columns(2)
    with one:
        percent = known["percent"]
        low = 100 * float((percent < 0).mean())  # type: ignore[arg-type]
        sentence = f"Errors in percent of the actual price. {low:.0f}% of {known.height:,} predictions were too low."
        quantiles = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
        edges = percent.clip(percent.quantile(quantiles[0]), percent.quantile(quantiles[-1]))
        table = pl.DataFrame({"quantile": quantiles, "% error": [percent.quantile(q) for q in quantiles]})
        shell.chart(
            charts.distribution(edges, "% error, the outermost 1% at the edges"),
            sentence,
            table,
            "residuals",
        )
    with two:
        held = figures.calibration(known)
        inside = 100 * float(known["inside"].mean())  # type: ignore[arg-type]
        sentence = f"Share of actual prices inside their 90% interval: {inside:.1f}% over all months."
        shell.chart(charts.calibration_bars(held), sentence, held, "calibration")


def drivers(version: str) -> None:
    """The importance of features."""
    shell.section("Features that matter where there is no history")
    described = pl.col("feature").map_elements(describe_feature, pl.String).alias("what it is")
    table = data.importance(version).with_columns(described)
    first = table.row(0, named=True)
    sentence = (
        f"Share of the total gain of all splits. The largest is that of {first['what it is'].lower()}: "
        f"{first['share']:.1f}%."
    )
    shell.chart(charts.bars(table.head(_TOP), "what it is", "share", "% of the gain"), sentence, table, "importance")


def tuned(champion: data.Champion) -> None:
    """The trials of the hyperparameter search."""
    shell.section("How it was tuned")
    history = champion.bundle.manifest.get("tuning", {}).get("history")
    if not history:
        st.markdown("Its hyperparameters were set, without a search.")
        return
    table = pl.DataFrame(history, infer_schema_length=None)
    complete = table.filter(state="complete")
    best = complete.sort("score").row(0, named=True)
    sentence = (
        f"Error of each of {table.height} trials on months inside train. The lowest is that of trial {best['trial']}: "
    )
    sentence += f"{figures.percent(100 * best['score'])} of the mean price. "
    sentence += f"{table.height - complete.height} were stopped early."
    shell.chart(charts.trials(table), sentence, table, "trials")


page()
