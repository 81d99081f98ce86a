"""The script of the dashboard, which `server` serves. It reads the store; the API makes its live predictions."""

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts the folder of this file on the path, not the one above it.
sys.path.insert(0, str(Path(__file__).parents[1]))

# Streamlit leaves a hand's breadth above the title, and on a phone puts one figure in each row.
_STYLE = """<style>
.stMainBlockContainer {padding-top: 3.5rem}
[data-testid=stMetricValue] {font-size: 1.7rem}
.st-key-title-of-page h2 {padding: 0.25rem 0}
.st-key-title-of-page {row-gap: 0}
[data-testid=stCaptionContainer] {opacity: 0.8 !important}
[data-testid=stMetricLabel] * {white-space: normal; overflow: visible}
:is(.st-key-map-highest, .st-key-map-lowest) [data-testid=stPageLink] * {white-space: normal; overflow: visible}
:is(.st-key-map-highest, .st-key-map-lowest) [data-testid=stPageLink-NavLink] {padding-block: 0.15rem}
.st-key-sources-of-figures {row-gap: 0.4rem}
@media (max-width: 640px) {
  [data-testid=stMetricValue] {font-size: 1.2rem}
  div:has(> .st-key-map-controls) {order: 1}
  div:has(> .st-key-map-below) {order: 2}
  .stVerticalBlock:has(> div > .st-key-map-below), div:has(> .stVerticalBlock > div > .st-key-map-below) {
    display: contents}
  [class*=st-key-figures] [data-testid=stHorizontalBlock] {gap: 0.6rem}
  [class*=st-key-figures] [data-testid=stColumn] {min-width: calc(50% - 0.6rem); flex: 1 1 calc(50% - 0.6rem)}
}
@media print {
  @page {margin: 14mm}
  .stApp, [data-testid=stAppViewContainer], [data-testid=stMain], .stMainBlockContainer {
    position: static !important; display: block !important; height: auto !important; overflow: visible !important}
  [data-testid=stHeader], [data-testid=stToolbar], .stButton, .stDownloadButton, .stPopover, [data-testid=stExpander],
  .modebar-container, [data-testid=stElementToolbar] {display: none !important}
  .stMainBlockContainer {padding: 0 !important; max-width: 100% !important}
  [data-testid=stColumn]:has(.places-map, .st-key-map-highest) {min-width: 100%}
  [data-testid=stHorizontalBlock]:has(.places-map) {flex-wrap: wrap}
  h1, h2, h3 {break-after: avoid}
  .stPlotlyChart, [data-testid=stMetric], .stDataFrame {break-inside: avoid}
  * {print-color-adjust: exact; -webkit-print-color-adjust: exact}
}
</style>"""
# Not `pages`: Streamlit serves a folder of that name by itself, past this file, until this file has run once.
PAGES = Path(__file__).parent / "views"


def main() -> None:
    """Show the page that the address names."""
    # A file of its own: Streamlit would fetch a named icon from a host outside.
    st.set_page_config("Housing prices by month", Path(__file__).parent / "icon.svg", layout="wide")
    st.html(_STYLE)
    chosen = st.navigation(
        [
            st.Page(PAGES / "overview.py", title="Overview", icon=":material/dashboard:", default=True),
            st.Page(PAGES / "map.py", title="Map", icon=":material/map:"),
            st.Page(PAGES / "place.py", title="Place", icon=":material/location_on:"),
            st.Page(PAGES / "compare.py", title="Compare", icon=":material/compare_arrows:"),
            st.Page(PAGES / "what_if.py", title="What if", icon=":material/tune:"),
            st.Page(PAGES / "model.py", title="Model", icon=":material/model_training:"),
            st.Page(PAGES / "health.py", title="Data health", icon=":material/monitor_heart:"),
        ],
        position="top",
    )
    from housing_assets.core.errors import HousingError
    from housing_dashboard import data

    try:
        data.store()
    except HousingError as error:
        st.error(f"The dashboard cannot start: {error}", icon=":material/error:")
        st.stop()
    chosen.run()


main()
