"""How far a figure is to be trusted: one line of words, and behind it the figures that it rests on."""

import polars as pl
import streamlit as st

from housing_assets.core.evaluation.trust import Record, Trust, doubts, in_words, record_of, trust_in, turns
from housing_dashboard import data, figures, shell
from housing_dashboard.data import Place

_ICONS = {Trust.USUAL: ":material/verified:", Trust.LIMITED: ":material/warning:", Trust.UNKNOWN: ":material/help:"}
_COLOURS = {Trust.USUAL: "green", Trust.LIMITED: "orange", Trust.UNKNOWN: "gray"}


def forecast(place: Place, chosen: pl.DataFrame, outcomes: pl.DataFrame, actual: pl.DataFrame, ahead: int) -> None:
    """How far the forecast of a place is to be trusted.

    Args:
        place: whose.
        chosen: its row.
        outcomes: of every forecast of the place at this horizon.
        actual: known prices of the place, by date.
        ahead: the horizon in months.
    """
    row = chosen.row(0, named=True)
    record = record_of(outcomes.filter(pl.col("origin") < row["origin"]))
    months, gap = _known_months(place)
    known = actual.filter(pl.col("date").dt.strftime("%Y-%m") <= row["origin"])
    against = doubts(record, months, gap, turns(known["price"].to_list()), row["predicted_low"] is not None)
    trust = trust_in(record, against)
    with st.container(key="trust"):
        st.markdown(f":{_COLOURS[trust]}[{_ICONS[trust]}] **{in_words(record, against)}**")
        # Opened only then computed: the record of a metro takes the forecasts of all its zips from every month.
        behind = st.expander("What this rests on", key="trust-behind", on_change="rerun")
        if behind.open:
            with behind:
                _behind(place, row, record, ahead)


def _known_months(place: Place) -> tuple[int | None, int]:
    grid = data.price_grid()
    return grid.gaps(place.name) if grid is not None and place.kind == data.ZIP else (None, 0)


def _behind(place: Place, row: dict, record: Record, ahead: int) -> None:
    """The figures, each with what it means."""
    lines = [_record_line(f"{place.name}, {ahead} ahead", record)]
    if place.metro and (metro := data.places().get(place.metro)):
        read = data.forecasts_of(metro).frame
        of_metro = read.filter(pl.col("horizon") == ahead, pl.col("origin") < row["origin"]) if read.height else read
        lines.append(_record_line(f"{metro.name} (mean of its zips), {ahead} ahead", record_of(of_metro)))
    lines.append(f"**Whose forecast**: {figures.predictor_name(row['predictor'])}.{_mostly(row)}")
    if vintage := row.get("vintage"):
        lines.append(f"**Made from** the vintage {vintage.replace('T', ' ').replace('Z', ' UTC')}.")
    lines += [f"**Fetched**: {line}" for line in data.vintages_in_words()]
    lines.append(f"**Revisions**: {_revised(row['origin'])}")
    if place.kind != data.ZIP:
        lines.append(
            "**The interval** of an area is the mean of its zips' intervals: as wide as if all of them erred together."
        )
    st.markdown("\n".join(f"- {line}" for line in lines))


def _record_line(name: str, record: Record) -> str:
    if not record.outcomes:
        return f"**{name}**: no earlier forecast has an outcome yet."
    held = f"{record.inside} of {record.intervals} intervals held ({record.held:.0f}%)" if record.intervals else ""
    naive = f"no change: {figures.percent(record.naive)}" if record.naive is not None else ""
    error = figures.percent(record.error or 0)
    return f"**{name}**: {held or 'no interval'}; mean error {error} over {record.outcomes} forecasts ({naive})."


def _mostly(row: dict) -> str:
    """Which forecaster counts most in it and what it was fitted on, where the forecast says so."""
    words = ""
    if mostly := row.get("mostly"):
        words += f" Mostly it is that of: {figures.predictor_name(mostly)}."
    if before := row.get("fitted_before"):
        words += f" Fitted on months before {before}."
    return words


def _revised(origin: str) -> str:
    """How far the publisher restated months near an origin."""
    with shell.guard():
        table = data.revisions()
        if table is None or table.is_empty():
            return "none is known: there is one vintage so far."
        near = table.filter(pl.col("month") <= origin).sort("month").tail(12).drop_nulls("median")
        if near.is_empty():
            return "none is known of these months."
        typical, most = float(near["median"].mean()), float(near["most"].max())  # type: ignore[arg-type]
        return (
            f"the newest vintage changed prices of the year up to {origin} by {figures.percent(typical)} typically, "
            f"and by {figures.percent(most)} at most."
        )
    return "cannot be read."
