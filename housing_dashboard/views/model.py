"""The Model page: the champions, their errors beside other predictors, their features, tuning and decisions."""

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
# Rows of a chart of metros: all of the country's would be a chart of ten screens.
_MOST_METROS = 40
_HORIZONS_THROUGH_TIME = (1, 3, 6, 12)
_NAMES = {
    "tuned_model": "tuned",
    f"tuned_model{ITSELF}": "tuned, its own numbers",
    f"champion{ITSELF}": "champion, its own numbers",
    "baseline_model": "baseline",
    **NAIVE_PRICE_LABELS,
    "flat": "price of the month before",
    **{name: figures.PREDICTOR_NAMES[name] for name in NAIVE_GROWTH if name != "flat"},
}
_SPLITS = {
    "holdout": "holdout: months that no model was fitted or chosen on",
    "eval": "eval: months that models were chosen on",
}


# Forecasters whose weights are drawn: those that count most somewhere. The table has all.
_SHOWN_WEIGHTS = 6


def page() -> None:
    """The page."""
    shell.header("Model", "Which model is in use, how accurate is it, where is it wrong, and which features matter?")
    with shell.guard():
        champion = data.champion()
        if champion is None:
            shell.empty("There is no champion yet", "Run `make run`, or `training_job` in Dagster.")
            return
        card(champion)
    months = data.months_of("monthly_predictions")
    rows = data.predictions(months)
    shell.damaged(rows.damaged)
    with shell.guard():
        histories(champion.bundle.version, rows.frame)
    with shell.guard():
        compared()
    with shell.guard():
        earlier(champion)
    with shell.guard():
        forecasts()
    if not rows.frame.is_empty():
        with shell.guard():
            errors(figures.with_errors(rows.frame))
    with shell.guard():
        drivers(champion.bundle.version)
    with shell.guard():
        tuned(champion)
    with shell.guard():
        decided(champion)


def card(champion: data.Champion) -> None:
    """The champion: version, training months, parameters and links."""
    manifest = champion.bundle.manifest
    months = manifest.get("months", {})
    one, two, three = st.columns(3)
    one.metric("Version", champion.bundle.version, border=True)
    two.metric("Trained on", " to ".join(months.get("train", ["unknown"])), border=True)
    three.metric("Made", str(manifest.get("created", ""))[:10], border=True)
    if champion.provisional:
        st.warning(f"This champion is provisional, because none has passed promotion: {champion.provisional}")
    if sentence := champion.publication.words():
        st.info(f"Published predictions: {sentence}.")
    with st.expander("Parameters, rows and libraries"):
        st.json(
            {
                name: manifest.get(name)
                for name in ("parameters", "rows", "months", "judged", "tuning", "libraries", "origin")
            }
        )
    urls = data.settings()
    links = [f"[Its runs in MLflow]({urls.mlflow_url})", f"[its assets in Dagster]({urls.dagster_url})"]
    if run := _run((manifest.get("origin") or {}).get("dagster_run")):
        links.append(f"[the run that made it]({run})")
    st.markdown(" · ".join(links))


def histories(version: str, rows: pl.DataFrame) -> None:
    """The share of predictions from a zip's own history, and the errors with and without one."""
    if "from_history" not in rows.columns or rows["from_history"].null_count() == rows.height:
        return
    st.subheader("With and without history", anchor=False)
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
    st.subheader("Against other predictors", anchor=False)
    overall = table.filter(by="overall").with_columns(pl.col("predictor").replace(_NAMES))
    for split in ("holdout", "eval"):
        part = overall.filter(split=split).sort("mape")
        best = part.row(0, named=True)
        sentence = (
            f"Mean absolute error in percent on {split}, on a logarithmic axis. The lowest is that of "
            f"“{best['predictor']}”: "
        )
        sentence += f"{figures.percent(best['mape'])}."
        kept = part.select("predictor", "rows", "mae", "rmse", "mape", "mdape", "within_5", "coverage")
        shell.chart(charts.dots(part, "predictor", "mape", "mean % error"), sentence, kept, f"against-{split}")


def earlier(champion: data.Champion) -> None:
    """Errors of every champion so far, as of its training."""
    table = data.champions(champion)
    if table.is_empty():
        return
    sentence = f"Champions so far: {table['version'].n_unique()}. Errors are those on eval at the time of training."
    st.caption(sentence)
    shell.show_table(table, "champions", sentence)


def forecasts() -> None:
    """The forecast model, the predictor published at each horizon, and errors by horizon."""
    st.subheader("Forecasts", anchor=False)
    in_use = data.published_forecasts()
    graded = data.read_table("forecast_evaluation")
    if in_use is None or graded is None:
        shell.empty(
            "Nothing is forecast yet",
            "Run `make run`, or `forecast_job` in Dagster: it says how many months before the evaluation it needs.",
        )
        return
    version, published = in_use
    overall = graded.filter(by="overall")
    table = figures.published_table(overall, published)
    st.markdown(f"{figures.who_forecasts(published)} Forecast model: {version}.")
    splits = [split for split in _SPLITS if split in graded["split"].unique()]
    split = shell.choice("Graded on", splits, "split", splits[0], format_func=_SPLITS.__getitem__)
    left, right = st.columns(2)
    with left, shell.guard():
        by_horizon(overall.filter(split=split), split)
    with right, shell.guard():
        skill(split)
    shell.show_table(
        table, "published", "The published predictor by horizon, and its error beside the best naive baseline"
    )
    with shell.guard():
        coverage(split)
    with shell.guard():
        weights(version)
    with shell.guard():
        through_time()
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
    """Errors of each predictor by horizon."""
    table = overall.pivot("predictor", index="horizon", values="mape").sort("horizon")
    shown = [name for name in (PUBLISHED, MODEL, *NAIVE_GROWTH) if name in table.columns]
    if MODEL in shown and table[MODEL].equals(table[PUBLISHED], check_names=False):
        shown.remove(PUBLISHED)  # the same line
    first, last = table.row(0, named=True), table.row(-1, named=True)
    sentence = f"Mean absolute % error on {split} by months ahead. That of published forecasts is "
    sentence += f"{figures.percent(first[PUBLISHED])} at {first['horizon']} and {figures.percent(last[PUBLISHED])} at "
    sentence += f"{last['horizon']}."
    names = {name: figures.predictor_name(name) for name in shown}
    shell.chart(charts.lines(table, "horizon", names, "months ahead"), sentence, table, "forecast-errors")


def skill(split: str) -> None:
    """The error of the model relative to each baseline's, with its uncertainty."""
    table = data.read_table("forecast_skill")
    if table is None:
        return
    part = table.filter(split=split)
    if part.is_empty():
        shell.empty(f"No skill is known on {split}", "Materialize `forecast_evaluation` again.")
        return
    sure = figures.surely_skilled(part)
    sentence = (
        "How much lower the model's error is than that of each naive baseline, with a 95% interval from resampling "
        "months. "
    )
    sentence += (
        f"It is surely lower than that of every baseline {figures.spans(sure)} ahead."
        if sure
        else "At no horizon is it surely lower than that of every baseline."
    )
    names = {name: figures.predictor_name(name) for name in NAIVE_GROWTH}
    written = part.drop("split").with_columns(pl.col("against").replace(figures.PREDICTOR_NAMES))
    shell.chart(charts.skill(part, names), sentence, written, "skill")


def coverage(split: str) -> None:
    """Coverage and width of the intervals by horizon and year."""
    table = data.read_table("forecast_coverage")
    if table is None or (part := table.filter(split=split)).is_empty():
        return
    held, width = (part.pivot("year", index="horizon", values=v).sort("horizon") for v in ("coverage", "width"))
    years = {year: year for year in part["year"].unique().sort()}
    worst = part.sort("coverage").row(0, named=True)
    one, two = st.columns(2)
    with one:
        share = float(np.average(part["coverage"], weights=part["rows"]))
        sentence = f"Share of prices inside their 90% interval on {split}: {share:.1f}% overall. The lowest is "
        sentence += f"{worst['coverage']:.1f}%, {worst['horizon']} ahead in {worst['year']}."
        least = min(70.0, 10 * (worst["coverage"] // 10))
        figure = charts.lines(held, "horizon", years, "months ahead", 90, least)
        shell.chart(figure, sentence, held, "forecast-coverage")
    with two:
        sentence = "Width of these intervals, in percent of the forecast."
        shell.chart(charts.lines(width, "horizon", years, "months ahead"), sentence, width, "forecast-width")


def through_time() -> None:
    """What came of the published forecasts: skill by year and horizon, and coverage by origin."""
    read = data.errors_by_origin()
    shell.damaged(read.damaged)
    if read.frame.is_empty():
        return
    table = figures.by_year(read.frame)
    one, two = st.columns(2)
    with one:
        worst = table.sort("skill").row(0, named=True)
        sentence = (
            "How much lower the error of published forecasts was than that of “no change”, by months ahead and by the "
            f"year they were made in. The least is {figures.percent(worst['skill'], signed=True)}, "
            f"{worst['horizon']} ahead in {worst['year']}."
        )
        wide = table.pivot("year", index="horizon", values="skill").sort("horizon")
        years = {year: year for year in table["year"].unique().sort()}
        shell.chart(charts.lines(wide, "horizon", years, "months ahead"), sentence, table, "skill-by-year")
    with two:
        held = read.frame.drop_nulls("coverage").filter(pl.col("horizon").is_in(_HORIZONS_THROUGH_TIME))
        if held.is_empty():
            return
        wide = held.sort("horizon").pivot("horizon", index="origin", values="coverage").sort("origin")
        names = {str(h): f"{h} ahead" for h in _HORIZONS_THROUGH_TIME if str(h) in wide.columns}
        low = held.sort("coverage").row(0, named=True)
        sentence = (
            "Share of prices inside the 90% interval of published forecasts, by the month they were made in. The "
            f"lowest is {low['coverage']:.0f}%, {low['horizon']} ahead from {low['origin']}."
        )
        figure = charts.lines(wide, "origin", names, "origin", 90, min(70.0, 10 * (low["coverage"] // 10)))
        shell.chart(figure, sentence, wide, "coverage-by-origin")


def weights(version: str) -> None:
    """What each forecaster counts in the newest forecasts, by horizon."""
    table = data.read_table("forecast_weights")
    if table is None or (of_version := table.filter(model_version=version)).is_empty():
        return
    origin = str(of_version["origin"].max())
    newest = of_version.filter(origin=origin).with_columns(pl.col("weight") * 100)
    grid = newest.pivot("predictor", index="horizon", values="weight").sort("horizon")
    by_share = newest.group_by("predictor").agg(pl.col("weight").max()).sort("weight", "predictor", descending=True)
    names = {name: figures.predictor_name(name) for name in by_share["predictor"].head(_SHOWN_WEIGHTS)}
    first, last = (newest.filter(horizon=h).sort("weight").row(-1, named=True) for h in (1, grid["horizon"].max()))
    sentence = (
        f"What each forecaster counts in the forecasts from {origin}, in percent, by how small its known errors are. "
    )
    sentence += f"One month ahead {figures.predictor_name(first['predictor'])} counts most ({first['weight']:.0f}%), "
    sentence += f"{last['horizon']} ahead {figures.predictor_name(last['predictor'])} ({last['weight']:.0f}%)."
    shell.chart(charts.lines(grid, "horizon", names, "months ahead"), sentence, grid, "forecast-weights")


def by_metro(graded: pl.DataFrame) -> None:
    """Errors of published forecasts by metro."""
    if graded.is_empty():
        return
    grid = graded.sort("horizon").pivot("horizon", index="group", values="mape").sort("group")
    last = graded.filter(horizon=graded["horizon"].max()).sort("mape").row(-1, named=True)
    sentence = (
        f"Mean absolute % error of published forecasts by metro and months ahead. The largest {last['horizon']} ahead "
    )
    sentence += f"is that of {last['group'] or 'zips without a metro'}: {figures.percent(last['mape'])}."
    worst = graded.group_by("group").agg(pl.col("mape").max()).sort("mape", descending=True).head(_MOST_METROS)
    shown = grid.filter(pl.col("group").is_in(worst["group"].implode(), nulls_equal=True))
    shell.chart(charts.heat(shown, "group", "% error"), f"{sentence}{_left_out(grid)}", grid, "forecast-metros")


def _left_out(grid: pl.DataFrame) -> str:
    """What a chart of metros says of those that it has no room for."""
    return f" The {_MOST_METROS} with the largest errors are shown." if grid.height > _MOST_METROS else ""


def errors(rows: pl.DataFrame) -> None:
    """Errors by metro and month, their distribution, and the coverage of intervals."""
    known = rows.drop_nulls("actual_price")
    if known.is_empty():
        shell.empty("No actual price is known yet", "Errors are shown once actual prices are known.")
        return
    st.subheader("Where predictions are wrong", anchor=False)
    grid = figures.error_grid(known)
    worst = figures.by_metro(known).sort("mape").row(-1, named=True)
    sentence = (
        "Mean absolute % error by metro and month. The largest is that of "
        f"{worst['city_full'] or 'zips without a metro'}: "
    )
    sentence += f"{figures.percent(worst['mape'])}."
    largest = figures.by_metro(known).sort("mape", descending=True).head(_MOST_METROS)["city_full"]
    shown = grid.filter(pl.col("city_full").is_in(largest.implode(), nulls_equal=True))
    shell.chart(charts.heat(shown, "city_full", "% error"), f"{sentence}{_left_out(grid)}", grid, "error-grid")
    one, two = st.columns(2)
    with one:
        percent = known["percent"]
        low = 100 * float((percent < 0).mean())  # type: ignore[arg-type]
        sentence = f"Errors in percent of the actual price. {low:.0f}% of {known.height:,} predictions were too low."
        quantiles = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
        edges = percent.clip(percent.quantile(quantiles[0]), percent.quantile(quantiles[-1]))
        table = pl.DataFrame({"quantile": quantiles, "% error": [percent.quantile(q) for q in quantiles]})
        shell.chart(
            charts.distribution(edges, "% error (the outermost 1% on each side at the edge)"),
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
    st.subheader("Features that matter where there is no history", anchor=False)
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
    st.subheader("How it was tuned", anchor=False)
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


def _run(run: str | None) -> str | None:
    """The address of a run in Dagster."""
    return f"{data.settings().dagster_url.rstrip('/')}/runs/{run}" if run else None


def decided(champion: data.Champion) -> None:
    """Every promotion decision, with its reason."""
    st.subheader("Decisions", anchor=False)
    names = {"decided": "decided", "version": "candidate", "outcome": "outcome", "reason": "reason"}
    rows = [
        {label: decision.get(field) for label, field in names.items()} | {"run": _run(decision.get("dagster_run"))}
        for decision in champion.decisions
    ]
    table = pl.DataFrame(rows, schema=dict.fromkeys([*names, "run"], pl.String))
    if table.height:
        newest = table.row(0, named=True)
        st.markdown(f"The newest, on {newest['version']}: **{newest['outcome']}**, because {newest['reason']}.")
    link = st.column_config.LinkColumn("Run", display_text="in Dagster")
    shell.show_table(table, "decisions", "Promotion decisions, the newest first", run=link)
    st.caption(
        f"{len(data.versions())} versions are kept. `housing promote VERSION --reason WHY` makes an earlier one "
        "the champion again."
    )


page()
