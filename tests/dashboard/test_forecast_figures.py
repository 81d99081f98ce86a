"""Figures of forecasts, beside the same in plain Python."""

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from housing_assets.core.months import month_end
from housing_dashboard import figures

PRICES = st.floats(1_000, 5e6)
HORIZONS = st.integers(1, 12)
PREDICTORS = ("forecast_model", "flat", "momentum_3", "damped_momentum")
FORECASTS = st.lists(st.tuples(HORIZONS, PRICES, PRICES), min_size=1, max_size=12, unique_by=lambda row: row[0])


def forecasts_of(rows: list[tuple[int, float, float]], zipcode: str = "02139") -> pl.DataFrame:
    """Forecasts from 2022-12 of (horizon, forecast, last known price), with intervals of 10% either way."""
    return pl.DataFrame(
        {
            "origin": ["2022-12"] * len(rows),
            "date": [month_end(f"2023-{horizon:02d}") for horizon, _, _ in rows],
            "horizon": [horizon for horizon, _, _ in rows],
            "zipcode": [zipcode] * len(rows),
            "city_full": ["Boston"] * len(rows),
            "predicted_price": [price for _, price, _ in rows],
            "predicted_low": [0.9 * price for _, price, _ in rows],
            "predicted_high": [1.1 * price for _, price, _ in rows],
            "last_known_price": [last for _, _, last in rows],
        }
    )


def prices_until(horizon: int, price: float) -> pl.DataFrame:
    """The price of every month of 2023 up to a horizon from 2022-12."""
    days = [month_end(f"2023-{month:02d}") for month in range(1, horizon + 1)]
    return pl.DataFrame({"date": days, "price": [price] * horizon}, schema={"date": pl.Date, "price": pl.Float64})


@settings(deadline=None)
@given(FORECASTS, st.integers(0, 12), PRICES)
def test_outcomes_are_known_up_to_the_last_month_and_errors_are_of_the_price_that_came(rows, last, price):
    found = figures.with_outcomes(forecasts_of(rows), prices_until(last, price))
    assert found["horizon"].to_list() == [horizon for horizon, _, _ in rows]
    for row, (horizon, said, known) in zip(found.to_dicts(), rows, strict=True):
        if horizon > last:
            assert (row["actual_price"], row["percent"], row["naive"], row["inside"]) == (None,) * 4
        else:
            assert row["percent"] == pytest.approx(100 * (said / price - 1))
            assert row["naive"] == pytest.approx(100 * (known / price - 1))
            assert row["inside"] == (0.9 * said <= price <= 1.1 * said)


@settings(deadline=None)
@given(st.lists(FORECASTS, min_size=1, max_size=4), PRICES)
def test_errors_by_horizon_are_means_over_the_forecasts_that_came_due(origins, price):
    rows = pl.concat(forecasts_of(rows) for rows in origins)
    found = figures.by_horizon(figures.with_outcomes(rows, prices_until(6, price)))
    wanted: dict[int, list[float]] = {}
    for horizon, said, _ in (row for rows in origins for row in rows):
        if horizon <= 6:
            wanted.setdefault(horizon, []).append(100 * abs(said / price - 1))
    assert found["horizon"].to_list() == sorted(wanted)
    for row in found.to_dicts():
        errors = wanted[row["horizon"]]
        assert row["rows"] == len(errors)
        assert row["mape"] == pytest.approx(sum(errors) / len(errors))
        assert abs(row["bias"]) <= row["mape"] + 1e-9


@given(st.dictionaries(HORIZONS, st.sampled_from(PREDICTORS), min_size=1))
def test_the_sentence_names_whose_forecast_each_horizon_has_once(published):
    said: dict[int, str] = {}
    for part in figures.who_forecasts(published).rstrip(".").split(". "):
        whose = re.split(" forecasts? ", part)[0].lower()
        of_model = whose.startswith("several forecasters together")
        name = "forecast_model" if of_model else next(p for p in PREDICTORS if figures.predictor_name(p) in whose)
        months = re.search(r"forecasts? ([\d to,]+) months? ahead", part)
        assert months is not None, part
        for span in months[1].split(", "):
            first, _, last = span.partition(" to ")
            for horizon in range(int(first), int(last or first) + 1):
                assert horizon not in said
                said[horizon] = name
    assert said == published


def test_nobody_forecasts_nothing():
    assert figures.who_forecasts({}) == ""


@given(st.sets(st.integers(1, 30)))
def test_spans_hold_the_numbers_and_no_others(numbers):
    told = figures.spans(sorted(numbers))
    found = set()
    for span in told.split(", ") if told else []:
        first, _, last = span.partition(" to ")
        found |= set(range(int(first), int(last or first) + 1))
    assert found == numbers


def test_what_is_published_is_set_beside_the_best_naive_baseline_of_its_split():
    errors = {"published": 1.0, "forecast_model": 1.0, "flat": 4.0, "damped_momentum": 2.0}
    graded = pl.DataFrame(
        [
            {"split": split, "horizon": horizon, "predictor": name, "mape": times * error}
            for split, times in (("eval", 1.0), ("holdout", 3.0))
            for horizon in (1, 2)
            for name, error in errors.items()
        ]
    )
    found = figures.published_table(graded, {1: "forecast_model", 2: "flat", 12: "damped_momentum"}).to_dicts()
    assert [row["predictor"] for row in found] == ["the model", "no change", "3-month growth fades"]
    assert (found[0]["holdout"], found[0]["holdout_naive"]) == (pytest.approx(3), pytest.approx(6))
    assert found[1]["eval_ratio"] == pytest.approx(0.5)
    assert found[2]["eval"] is None  # not graded


def test_skill_is_sure_where_every_interval_lies_above_nothing():
    table = pl.DataFrame(
        {"horizon": [1, 1, 2, 2], "against": ["flat", "momentum_3"] * 2, "skill_low": [5.0, 0.1, 40.0, -0.1]}
    )
    assert figures.surely_skilled(table) == [1]


def test_predictions_are_told_apart_by_whether_they_had_a_history():
    rows = pl.DataFrame(
        {
            "from_history": [True, True, False],
            "predicted_price": [101.0, 100.0, 120.0],
            "predicted_low": [99.0, 99.0, 80.0],
            "predicted_high": [103.0, 101.0, 140.0],
            "actual_price": [100.0, None, 100.0],
        }
    )
    known, unknown = figures.by_kind(rows).to_dicts()
    assert (known["from_history"], known["rows"], known["known"]) == (True, 2, 1)
    assert (known["mape"], unknown["mape"]) == (pytest.approx(1), pytest.approx(20))
    assert unknown["width"] == pytest.approx(50)


@given(st.floats(-500, 500))
def test_a_percentage_has_three_digits_that_mean_something(value):
    told = figures.percent(value, signed=True)
    assert re.fullmatch(r"[+-]\d\.\d\d%|[+-]\d{2,3}\.\d%", told)
    assert float(told.rstrip("%")) == pytest.approx(value, abs=0.0501 if abs(value) > 9 else 0.00501)


@given(PRICES, st.floats(1.001, 2))
def test_a_price_range_tells_its_ends_apart(low, times):
    ends = re.fullmatch(r"\$([\d,.]+)\D([\d,.]+)([kM])", figures.price_range(low, times * low))
    assert ends is not None
    unit = {"k": 1_000, "M": 1_000_000}[ends[3]]
    assert unit == (1_000_000 if low >= 1_000_000 else 1_000)
    first, last = (unit * float(end.replace(",", "")) for end in ends.groups()[:2])
    off = 0.00501 * unit if unit > 1_000 else 501
    assert first == pytest.approx(low, abs=off)
    assert last == pytest.approx(times * low, abs=off)
    if (times - 1) * low >= 1_010:
        assert first < last
