"""What every page has: its title, what the figures rest on, charts with a sentence and a table, and designed errors."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from housing_assets.core.errors import HousingError
from housing_dashboard import data

log = logging.getLogger("housing_dashboard")
_MOST_LISTED = 1_000
_WHOLE_ROWS = 13
"""Rows of a table that is shown without scrolling in it."""
NOTE = "an estimate, not an appraisal"


def header(title: str, asks: str) -> None:
    """Title, the question the page answers, and what its figures rest on."""
    st.header(title, anchor=False)
    st.caption(asks)
    version, newest, source = ("cannot be read",) * 3
    with guard():
        newest = next(reversed(data.months_of("monthly_predictions")), "none yet")
        source = data.source_label()
        version = data.champion_name() or "none yet"
    st.markdown(
        f":gray-badge[model: {version}] :gray-badge[newest month: {newest}] "
        f":gray-badge[source: {source}] :orange-badge[{NOTE}]"
    )


@contextmanager
def guard() -> Iterator[None]:
    """Turn an error into a sentence with its remedy; the rest of the page goes on."""
    try:
        yield
    except HousingError as error:
        told = str(error).replace(data.settings().store_uri, "the store")
        st.error(f"This part cannot be shown: {told}", icon=":material/error:")
    except Exception:
        log.exception("a part of a page failed")
        st.error("This part cannot be shown. The log of the dashboard says why; the other parts are not affected.")


def empty(told: str, remedy: str) -> None:
    """Say that there is nothing to show, and what to do about it."""
    with st.container(border=True):
        st.subheader(told, anchor=False)
        st.markdown(remedy)


def no_months() -> None:
    """What is said before any month is predicted."""
    empty("No month is predicted yet", "Run `make run`, or `predictions_job` in Dagster. This page fills by itself.")


def damaged(found: dict[str, str]) -> None:
    """Name months that cannot be read; the others are shown."""
    if found:
        with st.expander(f":orange[{len(found)} damaged: {', '.join(found)}. The other months are shown.]"):
            for month, told in found.items():
                st.markdown(f"- **{month}**: {told}")


def chart(
    figure: go.Figure,
    sentence: str,
    table: pl.DataFrame,
    key: str,
    on_select: Callable[[], None] | None = None,
) -> None:
    """A chart with the sentence that says what it shows, and the table behind it."""
    more = {"on_select": on_select, "selection_mode": "points"} if on_select else {}
    st.plotly_chart(figure, key=key, alt=sentence, config={"displaylogo": False}, **more)
    st.caption(sentence)
    with st.expander("The figures as a table"):
        show_table(table, f"{key}-table", f"The figures of: {sentence}")


def _dollars(label: str) -> Any:
    return st.column_config.NumberColumn(label, format="dollar", step=1)


def _percent(label: str) -> Any:
    return st.column_config.NumberColumn(label, format="%.2f%%")


def _share(label: str) -> Any:
    return st.column_config.NumberColumn(label, format="%.1f%%")


def _ratio(label: str) -> Any:
    return st.column_config.NumberColumn(label, format="%.2f", help="Its error over that of the best naive baseline")


def _columns() -> dict[str, Any]:
    """How columns of any table are named and written."""
    return {
        "date": st.column_config.DateColumn("Month", format="YYYY-MM"),
        "zipcode": "Zip",
        "city_full": "Metro",
        "horizon": "Months ahead",
        "predictor": "Predictor",
        "against": "Against",
        "origins": "Origins",
        **{f"{split}_ratio": _ratio(f"Ratio on {split}") for split in ("eval", "holdout")},
        **{
            name: _dollars(label)
            for name, label in {
                "predicted_price": "Predicted",
                "predicted_low": "Low",
                "predicted_high": "High",
                "actual_price": "Actual",
                "naive_price": "Month before",
                "last_known_price": "Last known",
                "price": "Price",
                "predicted": "Predicted",
                "actual": "Actual",
                "low": "Low",
                "high": "High",
                "error": "Error",
                "mae": "MAE",
                "rmse": "RMSE",
                "dollars": "Adds",
            }.items()
        },
        **{
            name: _percent(label)
            for name, label in {
                "percent": "% error",
                "mape": "Mean % error",
                "mdape": "Median % error",
                "naive_mape": "Naive % error",
                "naive": "Naive % error",
                "bias": "Bias",
                "change": "Change",
                "eval": "% error on eval",
                "eval_naive": "Best naive on eval",
                "holdout": "% error on holdout",
                "holdout_naive": "Best naive on holdout",
                "width": "Width",
            }.items()
        },
        **{
            name: _share(label)
            for name, label in {
                "coverage": "Inside the interval",
                "within_5": "Within 5%",
                "within_10": "Within 10%",
                "below": "Below",
                "inside": "Inside",
                "above": "Above",
                "skill": "Error saved",
                "skill_low": "Saved at least",
                "skill_high": "Saved at most",
            }.items()
        },
    }


def show_table(table: pl.DataFrame, key: str, alt: str, **columns: Any) -> None:
    """A table for reading: the first rows, columns in words and units, no more digits than mean something.

    Args:
        table: to show.
        key: of the widget.
        alt: what it shows, for those who cannot see it.
        columns: how further columns are written.
    """
    few = table.head(_MOST_LISTED).with_columns(pl.col(pl.Float64, pl.Float32).round_sig_figs(6))
    written = {name: told for name, told in {**_columns(), **columns}.items() if name in few.columns}
    # A truth value is no percentage.
    written = {name: told for name, told in written.items() if few.schema[name] != pl.Boolean}
    height = "content" if few.height <= _WHOLE_ROWS else "auto"
    st.dataframe(few, hide_index=True, key=key, alt=alt, column_config=written, height=height)


def choice(
    label: str, options: Sequence[str], key: str, default: str, widget: Callable[..., str] = st.selectbox, **more: Any
) -> str:
    """A choice that is in the address under its key, but for the default, so that a view can be shared.

    Streamlit's own `bind` writes what `format_func` shows instead of the option, which no other page could read.
    An address with nonsense in it gets the default.
    """
    asked, noted = st.query_params.get(key), f"{key} in the address"
    if asked is not None and asked not in options:
        st.toast(f"The address asks for {key} {asked!r:.40}, which is not there: {default} is shown.")
        asked = None
    held = st.session_state.get(key)
    keep = held in options and asked == st.session_state.get(noted)
    # Set in any case: a widget forgets what one of another page with the same key held.
    st.session_state[key] = held if keep else asked or default
    chosen = widget(label, options, key=key, **more)
    if chosen == default:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = chosen
    st.session_state[noted] = st.query_params.get(key)
    return chosen
