"""Is the data whole: months, checks, drift, and what was quarantined."""

import polars as pl
import streamlit as st

from housing_assets.core.catalogue import (
    ASSETS,
    CHECKED_AS_A_WHOLE,
    CLEANED,
    DRIFT_REPORT,
    MONTHLY,
    MONTHLY_FORECASTS,
    MONTHLY_PREDICTIONS,
    PREDICTED,
    PREDICTION_ACCURACY,
    QUARANTINED,
)
from housing_assets.core.features.monthly import FEATURES, describe_feature
from housing_assets.core.months import describe_months
from housing_assets.core.quality.drift import drifted_share
from housing_dashboard import charts, data, shell

_NEWEST = (CLEANED, MONTHLY_PREDICTIONS, MONTHLY_FORECASTS, PREDICTION_ACCURACY)
_MOST_MONTHS = 36


def page() -> None:
    """The page."""
    shell.header("Data health", "Is every month there, did its checks pass, and does the data drift?")
    months = data.expected_months()
    if not months:
        shell.empty("No month is cleaned yet", "Run `make run`, or `ingest_job` in Dagster.")
        return
    with shell.guard():
        freshness()
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
        there = data.months_of(asset)
        found = data.verdicts(asset).get(there[-1]) if there else None
        with cell.container(border=True, gap=None):
            st.metric(asset, there[-1] if there else "none", help=ASSETS[asset].label)
            st.caption(f"checked {found.checked[:16].replace('T', ' ')} UTC" if found else "never checked")
    for asset in PREDICTED:
        if stale := data.stale(asset):
            told = f"`{asset}` of {describe_months(stale)} rests on months that were restated since"
            st.warning(f"{told}: run its job for these months.", icon=":material/history:")


def checks(months: list[str]) -> None:
    """States by asset and month, and every problem in words."""
    st.subheader("Checks", anchor=False)
    shown = st.toggle("All months", key="all-months")
    shown = months if shown else months[-_MOST_MONTHS:]
    found: dict[str, dict[str, str]] = {}
    for asset in MONTHLY:
        there = set(data.months_of(asset))
        found[asset] = {m: str(s) for m, s in data.check_states(asset, [m for m in shown if m in there]).items()}
    counts: dict[str, int] = {}
    for known in found.values():
        for state in known.values():
            counts[state] = counts.get(state, 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
    table = pl.DataFrame([{"asset": a, "month": m, "state": s} for a, known in found.items() for m, s in known.items()])
    figure = charts.state_grid(MONTHLY, shown, found)
    shell.chart(figure, f"What the checks said of {shown[0]} to {shown[-1]}: {told}.", table, "states")
    whole = [
        {"asset": a, "state": str(s), "checked": when} for a in CHECKED_AS_A_WHOLE for s, when in data.whole_state(a)
    ]
    if whole:
        listed = pl.DataFrame(whole)
        bad = [f"`{row['asset']}` is {row['state']}" for row in whole if row["state"] not in ("green", "warn")]
        st.markdown("Assets without months: " + ("; ".join(bad) if bad else "all checked, none red") + ".")
        with st.expander("Assets without months, one by one"):
            shell.show_table(listed, "whole", "What the checks said of assets without months")
    missing = [m for m in months if m not in set(data.months_of(CLEANED))]
    if missing:
        st.warning(f"`cleaned` lacks {describe_months(missing)}: the checks of their raw rows say why.")
    problems = [
        {"asset": a, "month": m, "severity": p.severity, "check": p.rule, "column": p.column, "found": p.told}
        for a in (*MONTHLY, *CHECKED_AS_A_WHOLE)
        for m, v in data.verdicts(a).items()
        for p in v.problems
    ]
    if problems:
        shell.show_table(pl.DataFrame(problems), "problems", "Problems that the checks found")
    else:
        st.success("No check has anything to say.", icon=":material/check_circle:")


def drift() -> None:
    """How far the newest months are from train."""
    st.subheader("Drift", anchor=False)
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
    told = f"Share of features whose values are far from those of train; {newest['share']:.0f}% in {newest['month']}."
    shell.chart(charts.lines(trend, "month", {"share": "features that drifted"}), told, trend, "drift")
    words = pl.col("feature").replace({name: describe_feature(name) for name in FEATURES})
    last = rows.filter(month=newest["month"]).sort("distance", descending=True, nulls_last=True)
    shell.chart(
        charts.bars(last.head(12).with_columns(words), "feature", "distance", "distance from train"),
        f"The features farthest from train in {newest['month']}.",
        last.drop("month"),
        "drift-features",
    )


def quarantined() -> None:
    """Rows that cleaning set aside, with the reason."""
    st.subheader("Quarantined rows", anchor=False)
    read = data.read_months(QUARANTINED, data.months_of(QUARANTINED))
    shell.damaged(read.damaged)
    if read.frame.is_empty():
        st.success("No row was set aside.", icon=":material/check_circle:")
        return
    kind = pl.col("reason").str.extract(r"^([^:]+)").alias("why")
    by_reason = read.frame.group_by(kind).len("rows").sort("rows", descending=True)
    told = f"{read.frame.height:,} rows of all months were set aside; most of them: {by_reason['why'][0]}."
    shell.chart(charts.bars(by_reason, "why", "rows", "rows"), told, by_reason, "reasons")
    rows = read.frame.select("date", "zipcode", "city_full", "price", "reason").sort("date", descending=True)
    shell.show_table(rows, "quarantined", "Quarantined rows with their reason")


page()
