"""The data quality page: what all checks say, as one HTML file for people without Dagster."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import polars as pl

from housing_assets.core.catalogue import QUARANTINED
from housing_assets.core.months import describe_months
from housing_assets.core.quality.rules import CHECKED, RULES, rules_of
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version
from housing_assets.store.verdicts import PASSING, State, Verdict, data_stamps, read_verdicts, state_of

PAGE = "data_quality/index.html"
"""Where the page is, under the store."""

_SIGNS = {State.GREEN: ("green", "✓"), State.WARN: ("warn", "!"), State.RED: ("red", "✗")}
_REMEDIES = {rule.name: rule.remedy for rule in RULES}
_KIND = r"^([^:]+)"


@dataclass(frozen=True)
class Health:
    """What the checks say of the whole store now.

    Attributes:
        states: of every asset that has rules: month (empty: no months) to state.
        verdicts: the same to verdicts, where there are any.
    """

    states: Mapping[str, Mapping[str, State]]
    verdicts: Mapping[str, Mapping[str, Verdict]]

    def count(self, *wanted: State) -> int:
        """Months and tables in some states."""
        return sum(state in wanted for months in self.states.values() for state in months.values())

    def broken(self) -> list[dict[str, str]]:
        """Every broken rule of data that did not change since: `asset`, `month`, `rule`, `severity`, …"""
        broken_checks = [
            {
                "asset": asset,
                "month": month,
                "rule": problem.rule,
                "severity": problem.severity,
                "column": problem.column,
                "told": problem.told,
                "remedy": _REMEDIES.get(problem.rule, ""),
            }
            for asset, months in self.verdicts.items()
            for month, verdict in sorted(months.items())
            if self.states[asset].get(month) in (State.RED, State.WARN)
            for problem in verdict.problems
        ]
        return sorted(broken_checks, key=lambda b: b["severity"])


def read_health(store: Store) -> Health:
    """Read the verdicts of every asset that has rules, and hold them against the files."""
    states: dict[str, dict[str, State]] = {}
    verdicts: dict[str, dict[str, Verdict]] = {}
    for asset in CHECKED:
        stamps = data_stamps(store, asset)
        verdicts[asset] = read_verdicts(store, asset)
        states[asset] = {month: state_of(verdicts[asset].get(month), stamps[month]) for month in sorted(stamps)}
    return Health(states, verdicts)


def render_page(store: Store, health: Health, source: str, pictures: Mapping[str, bytes]) -> bytes:
    """The page as HTML that needs nothing else.

    Args:
        store: whose quarantined rows are counted.
        health: what the checks say.
        source: that the panel came from, for people.
        pictures: PNGs by title.
    """
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True).from_string(
        files("housing_assets.orchestration").joinpath("quality_page.html.jinja").read_text("utf-8")
    )
    text = template.render(
        source=source,
        champion=champion_version(store),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        tiles=[
            ("checks in the table", sum(len(rules_of(asset)) for asset in CHECKED)),
            ("months and tables sound", health.count(State.GREEN)),
            ("with warnings", health.count(State.WARN)),
            ("blocked", health.count(State.RED)),
            ("not checked, or changed", health.count(State.ABSENT, State.STALE)),
        ],
        broken=health.broken(),
        years=list(_years(health)),
        tables=list(_tables(health)),
        quarantined=quarantine_reasons(store).to_dicts(),
        pictures=[(name, base64.b64encode(png).decode()) for name, png in pictures.items()],
        rules=[(asset, rule) for asset in CHECKED for rule in rules_of(asset)],
    )
    return text.encode()


def quarantine_reasons(store: Store) -> pl.DataFrame:
    """Quarantined rows by kind of reason: `kind`, `rows`, `months`, `example`, the most frequent first."""
    months = store.months(QUARANTINED)
    reasons: dict[str, tuple[int, list[str], str]] = {}
    for month, frame in months.iterate(months.available(), ["reason"]):
        kinds = frame.group_by(pl.col("reason").str.extract(_KIND).alias("kind")).agg(
            pl.len().alias("rows"), pl.col("reason").first()
        )
        for kind, rows, example in kinds.iter_rows():
            before = reasons.get(kind, (0, [], example))
            reasons[kind] = (before[0] + rows, [*before[1], month], before[2])
    rows = [(kind, count, describe_months(named), example) for kind, (count, named, example) in reasons.items()]
    schema = {"kind": pl.String, "rows": pl.Int64, "months": pl.String, "example": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("rows", descending=True)


def _years(health: Health) -> Iterable[dict[str, Any]]:
    monthly = {asset: months for asset, months in health.states.items() if months and "" not in months}
    every = sorted({month for months in monthly.values() for month in months})
    for year in sorted({month[:4] for month in every}, reverse=True):
        months = [f"{year}-{number:02d}" for number in range(1, 13)]
        rows = [
            {"asset": asset, "cells": [_cell(health, asset, month) for month in months]}
            for asset, there in monthly.items()
            if any(month.startswith(year) for month in there)
        ]
        yield {"name": year, "months": months, "rows": rows}


def _cell(health: Health, asset: str, month: str) -> dict[str, str] | None:
    state = health.states[asset].get(month)
    if state is None:
        return None
    css, sign = _SIGNS.get(state, ("none", "?"))
    verdict = health.verdicts[asset].get(month)
    sentences: Sequence[str] = [f"{p.rule}: {p.column}: {p.told}" for p in verdict.problems] if verdict else []
    return {"css": css, "sign": sign, "title": "\n".join([f"{asset} {month}: {state}", *sentences])}


def _tables(health: Health) -> Iterable[dict[str, Any]]:
    for asset, months in health.states.items():
        if "" in months:
            verdict = health.verdicts[asset].get("")
            is_current = verdict is not None and months[""] in (*PASSING, State.RED)
            yield {
                "asset": asset,
                "state": str(months[""]),
                "css": _SIGNS.get(months[""], ("none", ""))[0],
                "rows": verdict.rows if verdict else 0,
                "checked": verdict.checked if verdict and is_current else "",
            }
