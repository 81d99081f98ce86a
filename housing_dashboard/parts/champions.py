"""Which models were champions, who decided that and why, with links to the runs in Dagster and in MLflow."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from housing_dashboard import data, shell

_RUNS = ("dagster_run", "mlflow_run")


def dagster_link(run: str | None) -> str:
    """The address of a run in Dagster; empty without one."""
    return f"{data.settings().dagster_url.rstrip('/')}/runs/{run}" if run else ""


def mlflow_link(run: str | None) -> str:
    """The address of a run in MLflow, which finds its experiment; empty without one."""
    return f"{data.settings().mlflow_url.rstrip('/')}/#/runs/{run}" if run else ""


def history(champion: data.Champion) -> None:
    """Every champion of prices so far: since when, by whom, why, and its errors as of its training."""
    table = data.champions(champion)
    if table.is_empty():
        return
    shell.section("Champions of prices")
    sentence = f"Champions so far: {table['version'].n_unique()}. Errors are those on eval at the time of training."
    _promotions(table, "champions", sentence)


def of_forecasts() -> None:
    """The newest decision on a forecast model, and every forecast model that was promoted."""
    decisions, table = data.forecast_decisions(), data.forecast_champions()
    if not decisions and table.is_empty():
        return
    shell.section("Forecast models")
    if decisions:
        newest = decisions[0]
        st.markdown(
            f"The newest decision, on {newest['candidate']}: **{newest['outcome']}**, because {newest['reason']}."
        )
    if table.height:
        sentence = f"Forecast models that were promoted so far: {table['version'].n_unique()}."
        _promotions(table.rename({"serves since": "forecasts since"}), "forecast-champions", sentence)


def _promotions(table: pl.DataFrame, key: str, sentence: str) -> None:
    st.caption(sentence)
    links = [
        pl.Series(name, [link(run) for run in table[name]], pl.String)
        for name, link in (("dagster_run", dagster_link), ("mlflow_run", mlflow_link))
    ]
    shell.show_table(table.with_columns(links), key, sentence, **_link_columns())


def _link_columns() -> dict[str, Any]:
    return {
        "dagster_run": st.column_config.LinkColumn("Dagster run", display_text="in Dagster"),
        "mlflow_run": st.column_config.LinkColumn("MLflow run", display_text="in MLflow"),
    }


def decisions(champion: data.Champion) -> None:
    """Every promotion decision on prices, with its reason."""
    shell.section("Decisions")
    table = _decided(champion.decisions)
    if table.height:
        newest = table.row(0, named=True)
        st.markdown(f"The newest, on {newest['candidate']}: **{newest['outcome']}**, because {newest['reason']}.")
    shell.show_table(table, "decisions", "Promotion decisions, the newest first", **_link_columns())
    st.caption(
        f"{len(data.versions())} versions are kept. `housing promote VERSION --reason WHY` makes an earlier one "
        "the champion again."
    )


def _decided(decisions: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    rows = [
        {
            "decided": decision.get("decided"),
            "candidate": decision.get("candidate"),
            "outcome": decision.get("outcome"),
            "decided by": data.who_decided(decision),
            "reason": decision.get("reason"),
            "dagster_run": dagster_link(decision.get("dagster_run")),
            "mlflow_run": mlflow_link(decision.get("mlflow_run")),
        }
        for decision in decisions
    ]
    names = ("decided", "candidate", "outcome", "decided by", "reason", *_RUNS)
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))
