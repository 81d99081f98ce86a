"""What every page has: its title, the source of its figures, charts with a sentence and a table, and error messages.

How columns of tables are named belongs in `columns`; what one page alone shows belongs to its view.
"""

import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from housing_assets.core.errors import HousingError
from housing_dashboard import charts, data
from housing_dashboard.columns import column_formats, label_of
from housing_dashboard.glossary import TERMS, help_for

log = logging.getLogger("housing_dashboard")
LINK = ":material/arrow_forward:"
"""Before the name of another page that a link leads to."""
_MOST_LISTED = 1_000
_WHOLE_ROWS = 13
"""Rows of a table that is shown without scrolling in it."""
_SECTIONS: ContextVar[list[str] | None] = ContextVar("sections", default=None)
"""Titles of the sections of the page that is being shown, where it has a table of contents."""
NOTE = "an estimate, not an appraisal"


def header(title: str, question: str) -> None:
    """Title, the question that the page answers, and the model and source of its figures."""
    top = st.container(horizontal=True, vertical_alignment="bottom", key="title-of-page")
    top.header(title, anchor=False, width="content")
    top.caption(question, width="content")
    version, newest, source = ("cannot be read",) * 3
    with guard():
        newest = next(reversed(data.months_of("monthly_predictions")), "none yet")
        source = data.source_label()
        version = data.champion_name() or "none yet"
    row = st.container(horizontal=True, vertical_alignment="center", key="sources-of-figures")
    row.markdown(
        f":gray-badge[model: {version}] :gray-badge[newest month: {newest}] "
        f":gray-badge[source: {source}] :orange-badge[{NOTE}]"
    )
    with row.popover("Glossary", icon=":material/menu_book:", key="glossary"):
        st.markdown("\n".join(f"- **{name}**: {words}" for name, words in TERMS.items()))


@contextmanager
def contents(key: str = "contents") -> Iterator[None]:
    """Links at the top to every `section` that is shown within.

    Args:
        key: of their container.
    """
    place, titles = st.container(key=key), []
    _SECTIONS.set(titles)
    try:
        yield
    finally:
        _SECTIONS.set(None)
        if len(titles) > 1:
            place.caption("On this page: " + " · ".join(f"[{title}](#{_anchor(title)})" for title in titles))


def section(title: str) -> None:
    """A heading that `contents` leads to."""
    st.subheader(title, anchor=_anchor(title))
    titles = _SECTIONS.get()
    if titles is not None:
        titles.append(title)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")


def metric(cell: Any, label: str, value: str, *delta: str | None, **more: Any) -> None:
    """A headline figure, with what the glossary says of its label as its help.

    Args:
        cell: where to, as a column.
        label: of the figure.
        value: the figure in words.
        delta: its change in words, if any.
        more: arguments of `st.metric`.
    """
    cell.metric(label, value, *delta, **{"help": help_for(label), **more})


def api_link(path: str, label: str = "the API call behind these figures") -> None:
    """A link to the call of the API that answers with the figures of a part."""
    st.caption(f":material/api: [{label}]({data.settings().api_url.rstrip('/')}{path})")


def downloads(table: pl.DataFrame, name: str, key: str, label: str = "Figures as ") -> None:
    """Buttons that give a table as CSV and as Parquet, made when they are pressed.

    Args:
        table: all its rows, in full precision.
        name: of the file, without its ending.
        key: of the buttons.
        label: of the buttons, before the format.
    """
    formats = (
        ("CSV", "csv", "text/csv", table.write_csv),
        ("Parquet", "parquet", "application/vnd.apache.parquet", lambda: parquet(table)),
    )
    with st.container(horizontal=True, key=f"downloads-{key}"):
        for kind, ending, media_type, written in formats:
            st.download_button(
                f"{label}{kind}",
                written,
                f"{name}.{ending}",
                media_type,
                on_click="ignore",
                key=f"{key}-{ending}",
                type="tertiary",
            )


def parquet(rows: pl.DataFrame) -> bytes:
    """A frame as Parquet."""
    sink = io.BytesIO()
    rows.write_parquet(sink)
    return sink.getvalue()


@contextmanager
def guard() -> Iterator[None]:
    """Show an error as a sentence with its remedy. The rest of the page is not affected."""
    try:
        yield
    except HousingError as error:
        message = str(error).replace(data.settings().store_uri, "the store")
        st.error(f"This part cannot be shown: {message}", icon=":material/error:")
    except Exception:
        log.exception("a part of a page failed")
        st.error("This part cannot be shown. The log of the dashboard says why. The other parts are not affected.")


def empty(title: str, remedy: str) -> None:
    """Show that there is no data, and what to do about it."""
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.markdown(remedy)


def no_months() -> None:
    """The message of pages that need predictions while there are none."""
    empty("No month is predicted yet", "Run `make run`, or `predictions_job` in Dagster. The page updates by itself.")


def damaged(reasons: Mapping[str, str]) -> None:
    """Name months that cannot be read, each with its reason."""
    if reasons:
        with st.expander(f":orange[{len(reasons)} damaged: {', '.join(reasons)}. The other months are shown.]"):
            for month, reason in reasons.items():
                st.markdown(f"- **{month}**: {reason}")


def predicted_rows() -> pl.DataFrame | None:
    """Every predicted row that can be read, as `data.predictions` gives them. Shows a message and returns None if there
    are none."""
    months = data.months_of("monthly_predictions")
    if not months:
        no_months()
        return None
    predicted = data.predictions(months)
    damaged(predicted.damaged)
    if predicted.frame.is_empty():
        empty("No month can be read", "Materialize `monthly_predictions` again.")
        return None
    return predicted.frame


def choose_zip(label: str, metros: Mapping[str, str | None]) -> str:
    """The zip code that is chosen, found by its number, city, county or metro.

    Args:
        label: of the widget.
        metros: name of the metro by zip code, None for a zip without one.
    """
    names = {zipcode: data.zip_by_name(zipcode, metro).label for zipcode, metro in metros.items()}
    return choice(label, list(names), "zip", next(iter(names)), format_func=names.__getitem__, filter_mode="contains")


def choose_place(label: str, places: Mapping[str, data.Place]) -> data.Place:
    """The place that is chosen, found by zip, city, county or metro; in the address as `zip` or as `place`.

    Args:
        label: of the widget.
        places: by name, as `data.places` gives them. The first zip is the default.
    """
    default = next(name for name, place in places.items() if place.kind == data.ZIP)
    chosen = choice(
        label,
        list(places),
        "zip",
        default,
        other_key="place",
        uses_other=lambda name: places[name].kind != data.ZIP,
        format_func=lambda name: places[name].label,
        filter_mode="contains",
        help="Type a zip code, a city, a county or a metro.",
    )
    return places[chosen]


def choose_places(label: str, places: Mapping[str, data.Place], most: int) -> list[data.Place]:
    """Several places, found as by `choose_place`; in the address as `place`, as often as there are.

    Args:
        label: of the widget.
        places: by name. The nation and its largest metro are the default.
        most: so many can be chosen.
    """
    key, last = "places", "places in the address"
    asked = st.query_params.get_all("place")
    in_address = [name for name in dict.fromkeys(asked) if name in places][:most]
    for name in [name for name in asked if name not in places]:
        st.toast(f"There is no place {name!r:.40}.")
    default = list(places)[:2]
    held = st.session_state.get(key)
    if held is None or in_address != st.session_state.get(last, []):
        held = in_address or default
    st.session_state[key] = [name for name in held if name in places]
    chosen = st.multiselect(
        label,
        list(places),
        key=key,
        format_func=lambda name: places[name].label,
        max_selections=most,
        filter_mode="contains",
        help="Type a zip code, a city, a county or a metro.",
    )
    if chosen and chosen != default:
        st.query_params["place"] = chosen
    else:
        st.query_params.pop("place", None)
    st.session_state[last] = st.query_params.get_all("place")
    return [places[name] for name in chosen]


def chart(
    figure: go.Figure,
    sentence: str,
    table: pl.DataFrame,
    key: str,
    formats: Mapping[str, Any] | None = None,
) -> None:
    """A chart with the sentence that says what it shows, and its figures as a table.

    Args:
        figure: the chart.
        sentence: what it shows, in words.
        table: its figures.
        key: of the widget.
        formats: of further columns of the table, by name.
    """
    if (st.context.theme.type or "light") == "dark":
        charts.for_dark(figure)
    st.plotly_chart(figure, key=key, alt=sentence, config={"displaylogo": False})
    below_chart(sentence, table, key, formats)


def below_chart(sentence: str, table: pl.DataFrame, key: str, formats: Mapping[str, Any] | None = None) -> None:
    """What stands below a chart: the sentence, and its figures as a table; arguments as those of `chart`."""
    st.caption(sentence)
    with st.expander("The figures as a table"):
        frame(table, f"{key}-table", f"The figures of: {sentence}", **(formats or {}))
        downloads(table, key, key)


def show_table(table: pl.DataFrame, key: str, alt: str, **columns: Any) -> None:
    """A table for reading that is under no chart, and all its rows to download; arguments as those of `frame`."""
    frame(table, key, alt, **columns)
    if table.height:
        downloads(table, key, key)


def frame(table: pl.DataFrame, key: str, alt: str, **columns: Any) -> None:
    """The first rows of a table for reading: columns with labels and units, six significant digits.

    Args:
        table: to show.
        key: of the widget.
        alt: what it shows, for screen readers.
        columns: formats of further columns, by name.
    """
    shown = table.head(_MOST_LISTED).with_columns(pl.col(pl.Float64, pl.Float32).round_sig_figs(6))
    # `inside` is a share in one table and a boolean in another.
    formats = {
        name: column_format
        for name, column_format in {**column_formats(), **columns}.items()
        if name in shown.columns and shown.schema[name] != pl.Boolean
    }
    labels = {name: st.column_config.Column(label_of(name)) for name in shown.columns if name not in formats}
    height = "content" if shown.height <= _WHOLE_ROWS else "auto"
    st.dataframe(shown, hide_index=True, key=key, alt=alt, column_config=labels | formats, height=height)


def choice(
    label: str,
    options: Sequence[str],
    key: str,
    default: str,
    widget: Callable[..., str] = st.selectbox,
    other_key: str = "",
    uses_other: Callable[[str], bool] | None = None,
    **more: Any,
) -> str:
    """A choice whose value is in the address under its key unless it is the default, so that a view can be shared.

    Streamlit's own `bind` writes what `format_func` shows instead of the option, which no other page could read.
    A value in the address that is no option gets the default.

    Args:
        label: of the widget.
        options: to choose from.
        key: of the widget and in the address.
        default: the option that is shown if the address says nothing.
        widget: Streamlit's, as `st.selectbox`.
        other_key: under which some options are in the address.
        uses_other: True for those options; None: there are none.
        more: arguments of the widget.
    """
    keys = (key, other_key) if other_key else (key,)
    address, last_in_address = st.query_params, f"{key} in the address"
    in_address = next((address[name] for name in keys if name in address), None)
    if in_address is not None and in_address not in options:
        st.toast(f"There is no {key} {in_address!r:.40}: {default} is shown.")
        in_address = None
    held = st.session_state.get(key)
    keep = held in options and in_address == st.session_state.get(last_in_address)
    # Set in any case: a widget forgets the value of another page's widget with the same key.
    st.session_state[key] = held if keep else in_address or default
    chosen = widget(label, options, key=key, **{"help": help_for(label), **more})
    own = other_key if uses_other is not None and uses_other(chosen) else key
    for name in keys:
        if name != own or chosen == default:
            address.pop(name, None)
    if chosen != default:
        address[own] = chosen
    st.session_state[last_in_address] = None if chosen == default else chosen
    return chosen
