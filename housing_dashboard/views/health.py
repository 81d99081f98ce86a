"""The Data health page: newest months, sources, revisions, checks, drift, and quarantined rows."""

from collections import Counter
from datetime import UTC, datetime

import polars as pl
import streamlit as st

from housing_assets.core.catalogue import (
    ASSETS,
    CHECKED_AS_A_WHOLE,
    CHECKED_BY_MONTH,
    CLEANED,
    DRIFT_REPORT,
    MONTHLY_FORECASTS,
    MONTHLY_PREDICTIONS,
    PREDICTED,
    PREDICTION_ACCURACY,
    QUARANTINED,
)
from housing_assets.core.features.monthly import FEATURES, describe_feature
from housing_assets.core.months import describe_months
from housing_assets.core.quality.drift import drifted_share
from housing_dashboard import charts, data, figures, shell

_NEWEST = (CLEANED, MONTHLY_PREDICTIONS, MONTHLY_FORECASTS, PREDICTION_ACCURACY)
_MOST_MONTHS = 36


def page() -> None:
    """The page."""
    shell.header("Data health", "Is every month present, did its checks pass, and does the data drift?")
    months = data.expected_months()
    if not months:
        shell.empty("No month is cleaned yet", "Run `make run`, or `ingest_job` in Dagster.")
        return
    with shell.guard():
        freshness()
    with shell.contents():
        with shell.guard():
            sources()
        with shell.guard():
            revisions()
        with shell.guard():
            checks(months)
        with shell.guard():
            drift()
        with shell.guard():
            quarantined()
    st.markdown(f"All checks, runs and their logs are [in Dagster]({data.settings().dagster_url}).")


def freshness() -> None:
    """Newest month of each asset, and when it was checked."""
    with st.container(key="figures-freshness"):
        cells = st.columns(len(_NEWEST))
    for cell, asset in zip(cells, _NEWEST, strict=True):
        months = data.months_of(asset)
        verdict = data.verdicts(asset).get(months[-1]) if months else None
        with cell.container(border=True, gap=None):
            st.metric(asset, months[-1] if months else "none", help=ASSETS[asset].label)
            st.caption(f"checked {data.minute_of(verdict.checked)}" if verdict else "never checked")
    for asset in PREDICTED:
        if stale := data.stale(asset):
            sentence = f"`{asset}` of {describe_months(stale)} was made from months that were restated later"
            st.warning(f"{sentence}. Run its job for these months.", icon=":material/history:")


def sources() -> None:
    """The newest vintage of each source, with what its reader assumed, and attribution."""
    shell.section("Sources")
    listed = data.newest_vintages()
    if not listed:
        shell.empty(
            "No vintage is kept yet",
            "Run `make run`, or `ingest_job` in Dagster: each published file that is read becomes a vintage.",
        )
        return
    table = pl.DataFrame(
        [
            {
                "source": vintage.source,
                "known since": f"{vintage.known_at:%Y-%m-%d}",
                "months": f"{vintage.first_month} to {vintage.last_month}",
                "publisher": vintage.publisher,
                "rows": vintage.rows,
                "zips": vintage.zips,
                "vintages": count,
                "address": vintage.address,
            }
            for vintage, count in listed
        ]
    )
    shell.show_table(table, "sources", "The newest vintage of each source")
    publications()
    for vintage, _ in listed:
        lines = [vintage.attribution] if vintage.attribution else []
        if vintage.rolling:
            lines.append("Figures of a month are those of the 90 days up to its end.")
        if lines:
            st.caption(" ".join([f"{vintage.publisher}:", *lines]).replace("$", r"\$"))
    notes = [
        {"source": vintage.source, "note": text, "count": count}
        for vintage, _ in listed
        for text, count in vintage.notes
    ]
    if notes:
        with st.expander(f"Assumptions made while reading: {len(notes)}"):
            shell.show_table(pl.DataFrame(notes), "notes", "Assumptions that readers made, and how often")


def publications() -> None:
    """Every vintage: when it was published and fetched, and when the next one is expected; late sources in red."""
    today = datetime.now(UTC).date()
    records = data.publications(today)
    for record in records:
        if record.late:
            st.error(
                f"{record.publisher} is late: a file was expected on {record.next_day}, the newest is of "
                f"{record.newest:%Y-%m-%d}. Look at `sources_job` in Dagster.",
                icon=":material/schedule:",
            )
    expected = [f"{record.publisher} on {record.next_day}" for record in records if record.next_day and not record.late]
    if expected:
        st.markdown(f"Next expected: {', '.join(expected)}. That is judged by the days between the last ones.")
    changed = data.changes_by_source()
    rows = [
        {
            "source": record.source,
            "known as": vintage.time,
            "published": None if vintage.published_at is None else f"{vintage.published_at:%Y-%m-%d}",
            "fetched": f"{vintage.fetched_at:%Y-%m-%d %H:%M}",
            "through": vintage.last_month,
            "size": vintage.rows,
            "what it changed": changed.get(record.source, "") if vintage is record.vintages[-1] else "",
        }
        for record in records
        for vintage in reversed(record.vintages)
    ]
    with st.expander(f"Every vintage: {len(rows)}"):
        shell.show_table(pl.DataFrame(rows, infer_schema_length=None), "vintages", "Every vintage, the newest first")


def revisions() -> None:
    """How much the newest vintage changed published prices, by month."""
    table = data.revisions()
    if table is None or table.is_empty():
        return
    shell.section("Revisions")
    table = table.sort("month")
    largest = table.drop_nulls("most").sort("most").tail(1)
    sentence = "Change of published prices between the last two vintages, by month, on a logarithmic axis."
    if largest.height:
        sentence += f" The largest is {figures.percent(largest['most'][0])}, in {largest['month'][0]}."
    formats = {name: st.column_config.NumberColumn(format="%.3f%%") for name in data.REVISION_FIGURES}
    shell.chart(charts.revisions(table), sentence, table, "revisions", formats=formats)


def checks(months: list[str]) -> None:
    """Check results by asset and month, and every problem in words."""
    shell.section("Checks")
    shown = st.toggle("All months", key="all-months")
    shown = months if shown else months[-_MOST_MONTHS:]
    states: dict[str, dict[str, str]] = {}
    for asset in CHECKED_BY_MONTH:
        available = set(data.months_of(asset))
        states[asset] = {m: str(s) for m, s in data.check_states(asset, [m for m in shown if m in available]).items()}
    counts = Counter(state for by_month in states.values() for state in by_month.values())
    sentence = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
    table = pl.DataFrame(
        [{"asset": a, "month": m, "state": s} for a, by_month in states.items() for m, s in by_month.items()]
    )
    figure = charts.state_grid(CHECKED_BY_MONTH, shown, states)
    shell.chart(figure, f"Check results of {shown[0]} to {shown[-1]}: {sentence}.", table, "states")
    whole = [
        {"asset": asset, "state": str(result[0]), "checked": result[1]}
        for asset in CHECKED_AS_A_WHOLE
        if (result := data.unpartitioned_state(asset))
    ]
    if whole:
        listed = pl.DataFrame(whole)
        bad = [f"`{row['asset']}` is {row['state']}" for row in whole if row["state"] not in ("green", "warn")]
        st.markdown("Assets without months: " + (", ".join(bad) if bad else "all are checked and none is red") + ".")
        with st.expander("Assets without months, one by one"):
            shell.show_table(listed, "whole", "Check results of assets without months")
    missing = [m for m in months if m not in set(data.months_of(CLEANED))]
    if missing:
        st.warning(f"`cleaned` lacks {describe_months(missing)}. The checks of `raw_splits` say why.")
    problems = [
        {"asset": a, "month": m, "severity": p.severity, "check": p.rule, "column": p.column, "found": p.told}
        for a in (*CHECKED_BY_MONTH, *CHECKED_AS_A_WHOLE)
        for m, v in data.verdicts(a).items()
        for p in v.problems
    ]
    if problems:
        shell.show_table(pl.DataFrame(problems), "problems", "Problems that the checks found")
    else:
        st.success("No check found a problem.", icon=":material/check_circle:")


def drift() -> None:
    """How far the distribution of each month is from that of train."""
    shell.section("Drift")
    months = data.months_of(DRIFT_REPORT)
    read = data.read_months(DRIFT_REPORT, months)
    shell.damaged(read.damaged)
    if read.frame.is_empty():
        shell.empty("No drift report yet", "Run `monitoring_job`.")
        return
    frames = [data.read_months(DRIFT_REPORT, [m]).frame.with_columns(pl.lit(m).alias("month")) for m in months]
    rows = pl.concat(f for f in frames if "feature" in f.columns)
    shares = [(m, 100 * drifted_share(table)) for (m,), table in rows.group_by("month")]
    trend = pl.DataFrame(shares, schema={"month": pl.String, "share": pl.Float64}, orient="row").sort("month")
    newest = trend.row(-1, named=True)
    sentence = (
        f"Share of features whose distribution is far from that of train: {newest['share']:.0f}% in {newest['month']}."
    )
    shell.chart(charts.lines(trend, "month", {"share": "features that drifted"}), sentence, trend, "drift")
    words = pl.col("feature").replace(
        {name: describe_feature(name) for name in FEATURES} | {"predicted_price": "Predicted price"}
    )
    last = rows.filter(month=newest["month"]).sort("distance", descending=True, nulls_last=True)
    shell.chart(
        charts.bars(
            last.drop_nulls("distance").head(12).with_columns(words), "feature", "distance", "distance from train"
        ),
        f"The features farthest from train in {newest['month']}.",
        last.drop("month"),
        "drift-features",
    )


def quarantined() -> None:
    """Rows that cleaning quarantined, with the reason."""
    shell.section("Quarantined rows")
    read = data.read_months(QUARANTINED, data.months_of(QUARANTINED))
    shell.damaged(read.damaged)
    if read.frame.is_empty():
        st.success("No row is quarantined.", icon=":material/check_circle:")
        return
    kind = pl.col("reason").str.extract(r"^([^:]+)").alias("why")
    by_reason = read.frame.group_by(kind).len("rows").sort("rows", descending=True)
    sentence = (
        f"{read.frame.height:,} rows of all months are quarantined. The most frequent reason: {by_reason['why'][0]}."
    )
    shell.chart(charts.bars(by_reason, "why", "rows", "rows"), sentence, by_reason, "reasons")
    rows = read.frame.select("zipcode", "date", "reason", "price", "city_full").sort("date", descending=True)
    shell.show_table(rows, "quarantined", "Quarantined rows with their reason")


page()
