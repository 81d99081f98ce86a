"""Features: a row alone is as good as a row in a batch, and what must not reach a model does not."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from housing_assets.core.errors import HousingError
from housing_assets.core.features.monthly import (
    COMPUTED,
    FEATURE_INPUTS,
    FEATURES,
    KEYS,
    describe_feature,
    feature_inputs,
    is_prices_alone,
    make_features,
    make_matrix,
    make_training_features,
    silent_features,
)
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.months import Split
from housing_assets.core.panel.schema import NEVER_FEATURES, NUMERIC_FEATURES

FEW = settings(max_examples=40, deadline=None)


def bits(features: pl.DataFrame) -> bytes:
    return feature_matrix(features).tobytes()


def test_the_matrix_has_its_columns_in_order_as_float32(panel, encoders):
    made = make_features(panel, encoders)
    assert tuple(made.columns) == FEATURES
    assert set(made.schema.values()) == {pl.Float32}
    assert made.height == panel.height
    assert len(FEATURES) == len(set(FEATURES)) == len(COMPUTED) + len(NUMERIC_FEATURES)


def test_frame_and_matrix_are_the_same_and_every_feature_is_described(panel, encoders):
    matrix = make_matrix(feature_inputs(panel), encoders)
    np.testing.assert_array_equal(matrix, feature_matrix(make_features(panel, encoders)))
    inputs = feature_inputs(panel)
    for feature in COMPUTED:
        expected = np.asarray(feature.compute(inputs, encoders), np.float32)
        np.testing.assert_array_equal(matrix[:, FEATURES.index(feature.name)], expected)
    for name in NUMERIC_FEATURES:
        np.testing.assert_array_equal(inputs.number(name).astype(np.float32), matrix[:, FEATURES.index(name)])
    assert all(map(describe_feature, FEATURES))


@FEW
@given(data=st.data())
def test_a_row_in_any_batch_has_the_features_of_the_row_alone(panel, encoders, data):
    rows = data.draw(st.lists(st.integers(0, panel.height - 1), min_size=1, max_size=30))
    whole = make_features(panel, encoders)
    assert bits(make_features(panel[rows], encoders)) == bits(whole[rows])
    alone = b"".join(bits(make_features(panel[row], encoders)) for row in rows[:5])
    assert alone == bits(whole[rows[:5]])


@FEW
@given(columns=st.permutations(FEATURE_INPUTS))
def test_the_inputs_are_all_it_needs_in_any_order(panel, encoders, columns):
    assert_frame_equal(make_features(panel.select(columns), encoders), make_features(panel, encoders))


def test_the_features_of_a_row_by_hand(panel, encoders):
    row = panel.filter(pl.col("date") == pl.date(2021, 11, 30)).head(1)
    made = make_features(row, encoders).row(0, named=True)
    zipcode, metro = row["zipcode"][0], row["city_full"][0]
    assert (made["year"], made["quarter"], made["month"]) == (2021, 4, 11)
    assert made["zipcode_frequency"] == pytest.approx(encoders.zipcode_frequency[zipcode])
    assert made["city_full_target"] == pytest.approx(encoders.city_full_target[metro])
    for name in ("latitude", "longitude", *NUMERIC_FEATURES):
        expected = row[name][0]
        assert made[name] == (None if expected is None else pytest.approx(expected)), name


@pytest.mark.parametrize(
    ("day", "quarter"),
    [(date(2021, 1, 31), 1), (date(2021, 3, 31), 1), (date(2021, 4, 30), 2), (date(2021, 12, 31), 4)],
)
def test_quarters(panel, encoders, day, quarter):
    made = make_features(panel.head(1).with_columns(date=pl.lit(day)), encoders)
    assert made.select("year", "quarter", "month").row(0) == (2021, quarter, day.month)


@pytest.mark.parametrize("unseen", ["New Atlantis", None])
def test_what_was_never_seen_has_the_encoding_of_the_unseen(panel, encoders, unseen):
    zipcode = None if unseen is None else "99999"
    row = panel.head(1).with_columns(
        city_full=pl.lit(unseen, pl.String), zipcode=pl.lit(zipcode, pl.String), latitude=pl.lit(None, pl.Float64)
    )
    made = make_features(row, encoders).row(0, named=True)
    assert made["zipcode_frequency"] == 0
    assert made["city_full_target"] == pytest.approx(encoders.prior)
    assert made["latitude"] is None


def test_no_barred_column_is_a_feature():
    assert not NEVER_FEATURES & set(FEATURES)
    assert set(FEATURES) - set(NUMERIC_FEATURES) == {
        "year", "quarter", "month", "zipcode_frequency", "city_full_target", "latitude", "longitude",
    }  # fmt: skip


@FEW
@given(price=st.floats(allow_nan=True) | st.none(), city=st.text(max_size=5), split=st.sampled_from(list(Split)))
def test_the_price_of_the_month_changes_no_feature(panel, encoders, price, city, split):
    rows = panel.tail(40)
    changed = rows.with_columns(
        price=pl.lit(price, pl.Float64),
        median_sale_price=pl.lit(price, pl.Float64),
        city=pl.lit(city),
        split=pl.lit(split.value),
    )
    assert bits(make_features(changed, encoders)) == bits(make_features(rows, encoders))


@pytest.mark.parametrize("name", NUMERIC_FEATURES)
def test_a_column_reaches_its_own_feature_alone(panel, encoders, name):
    rows = panel.head(3)
    before = make_features(rows, encoders)
    after = make_features(rows.with_columns(pl.lit(0.625).alias(name)), encoders)
    assert after[name].to_list() == [0.625] * 3
    assert_frame_equal(after.drop(name), before.drop(name))


def test_missing_stays_missing(panel, encoders):
    made = make_features(panel, encoders)
    for name in NUMERIC_FEATURES:
        assert made[name].is_null().equals(panel[name].is_null())
    assert made["Total Population"].null_count() > 0


def test_training_features_are_the_rows_that_have_a_price(panel, encoders):
    gap = panel.head(10).with_columns(price=pl.when(pl.int_range(10) < 3).then(None).otherwise("price"))
    made = make_training_features(gap, encoders)
    assert made.columns == [*KEYS, *FEATURES]
    assert_frame_equal(made.select(KEYS), gap.slice(3).select(KEYS))
    assert bits(made) == bits(make_features(gap.slice(3), encoders))


def test_features_that_say_nothing_are_told_apart_from_those_that_do(panel, encoders):
    rows = panel.with_columns(bank=pl.lit(None, pl.Float64), mall=pl.lit(3.0))
    found = silent_features(make_features(rows, encoders))
    assert found["bank"] == "empty"
    assert found["mall"] == "constant"
    assert "median_list_price" not in found


def test_a_source_whose_columns_are_there_and_all_say_nothing_is_refused(panel, encoders):
    rows = panel.with_columns(pl.lit(None, pl.Float64).alias(name) for name in NUMERIC_FEATURES)
    rows = rows.with_columns(mall=pl.lit(3.0))
    with pytest.raises(HousingError, match="no feature of the source says anything in train: .* check the source's"):
        silent_features(make_features(rows, encoders))


def test_prices_alone_are_no_broken_source(panel, encoders):
    rows = panel.with_columns(pl.lit(None, pl.Float64).alias(name) for name in NUMERIC_FEATURES)
    silent = silent_features(make_features(rows, encoders))
    assert is_prices_alone(silent)
    assert {"year", "month", "city_full_target"}.isdisjoint(silent)
    assert not is_prices_alone({**silent, "mall": "constant"})
    assert not is_prices_alone(silent_features(make_features(panel, encoders)))
