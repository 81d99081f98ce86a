"""The assets over a tiny panel: ranges of months, lineage, checks, and what stays when a run fails."""

import dagster as dg
import polars as pl
import pytest
from platform_fixtures import (
    END,
    EVAL,
    FEW_TREES,
    HELD,
    MONTHS,
    TRAIN,
    Platform,
    failure_text,
    tree,
    write_source,
)
from polars.testing import assert_frame_equal

from housing_assets.core.months import Split, add_months, month_of
from housing_assets.store.bundles import list_versions, load_bundle
from housing_assets.store.pointers import champion_version


def events_of(platform: Platform, asset: str) -> dict[str, dg.AssetMaterialization]:
    """The newest materialization of every month of an asset, with its run id beside it."""
    records = platform.instance.fetch_materializations(dg.AssetKey(asset), limit=1_000).records
    return {r.partition_key: r for r in reversed(records)}


def metadata(record) -> dict:
    return {k: v.value for k, v in record.asset_materialization.metadata.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def rewrite(source, path, condition: pl.Expr, **values: pl.Expr):
    """A copy of a source in which some values of some rows are others."""
    frame = pl.read_csv(source, infer_schema_length=None)
    new = [pl.when(condition).then(value).otherwise(pl.col(name)).alias(name) for name, value in values.items()]
    frame.with_columns(new).write_csv(path)
    return path


# ---------------------------------------------------------------- ranges of months


@pytest.mark.parametrize(
    ("asset", "months"), [("raw_splits", MONTHS), ("cleaned", MONTHS), ("monthly_predictions", HELD)]
)
def test_a_range_is_one_run_with_a_file_and_an_event_for_each_month(made, asset, months):
    events = events_of(made, asset)
    assert sorted(events) == months == made.store.months(asset).available()
    assert len({record.run_id for record in events.values()}) == 1
    for month, record in events.items():
        frame = made.read(asset, month)
        assert metadata(record)["dagster/row_count"] == frame.height > 0
        assert frame["date"].unique().dt.strftime("%Y-%m").to_list() == [month]


def test_rows_are_routed_to_their_split_by_their_month(made):
    for month in MONTHS:
        expected = Split.TRAIN if month < EVAL else Split.EVAL if month < HELD[0] else Split.HOLDOUT
        assert made.read("raw_splits", month)["split"].unique().to_list() == [str(expected)]
        assert metadata(events_of(made, "raw_splits")[month])["split"] == str(expected)


def test_one_month_again_replaces_this_month_alone(copy, tmp_path):
    month = MONTHS[4]
    copy = Platform(
        copy.root,
        rewrite(copy.source, tmp_path / "b.csv", pl.col("date").str.starts_with(month), price=pl.col("price") * 1.1),
    )
    before, raw = tree(copy.folder), copy.read("raw_splits", month)
    result = copy.job("ingest_job", [month])
    assert result.success
    assert list(events_of(copy, "cleaned")) == [month]
    assert {f"raw_splits/{month}.parquet", f"cleaned/{month}.parquet"} <= changed(before, tree(copy.folder))
    assert changed(before, tree(copy.folder)) <= {
        f"{asset}/{month}.parquet" for asset in ("raw_splits", "cleaned", "quarantined")
    }
    assert copy.read("raw_splits", month)["price"].to_list() == (raw["price"] * 1.1).to_list()


def test_one_month_of_predictions_again_is_byte_for_byte_the_same(copy):
    before = tree(copy.folder)
    assert copy.job("predictions_job", [HELD[1]]).success
    assert list(events_of(copy, "monthly_predictions")) == [HELD[1]]
    assert tree(copy.folder) == before


def test_a_month_cleaned_alone_knows_the_month_before(copy):
    month = next(m for m in MONTHS[1:] if copy.read("cleaned", m)["repeats_previous"].any())
    before = tree(copy.folder)
    assert copy.select(dg.AssetSelection.assets("cleaned"), [month]).success
    assert tree(copy.folder) == before


# ---------------------------------------------------------------- months that are not there


def test_a_month_that_the_source_lacks_is_told_with_those_it_has_and_nothing_changes(copy):
    later = Platform(copy.root, copy.source, {"panel_end": add_months(END, 2)})
    before = tree(copy.folder)
    result = later.job("ingest_job", [*MONTHS, add_months(END, 1), add_months(END, 2)])
    assert not result.success
    told = failure_text(result)
    assert f"no rows for {add_months(END, 1)} to {add_months(END, 2)}" in told
    assert f"the source has {MONTHS[0]} to {END}" in told
    assert tree(copy.folder) == before
    assert events_of(later, "raw_splits") == {}


@pytest.mark.parametrize(
    ("asset", "month", "job", "months"),
    [
        ("cleaned", TRAIN[2], "training_job", ()),
        ("cleaned", HELD[1], "predictions_job", HELD),
    ],
)
def test_a_missing_month_upstream_is_named_and_nothing_changes(copy, asset, month, job, months):
    copy.store.blobs.delete(f"{asset}/{month}.parquet")
    before = made_files(copy)
    result = copy.job(job, months)
    assert not result.success
    told = failure_text(result)
    assert f"{asset} lacks {month}" in told
    assert f"Materialize {asset} for these months first" in told
    assert made_files(copy) == before


def made_files(platform: Platform) -> dict[str, str]:
    """All files but the history, which is of the months that are there."""
    return {name: digest for name, digest in tree(platform.folder).items() if not name.startswith("price_history")}


def test_cleaning_names_a_missing_raw_month(copy):
    copy.store.blobs.delete(f"raw_splits/{MONTHS[3]}.parquet")
    before = tree(copy.folder)
    result = copy.select(dg.AssetSelection.assets("cleaned"), MONTHS)
    assert not result.success
    assert f"raw_splits lacks {MONTHS[3]}" in failure_text(result)
    assert tree(copy.folder) == before


# ---------------------------------------------------------------- quarantine


def test_every_raw_row_is_kept_dropped_as_a_copy_or_quarantined_with_its_reason(made):
    events = events_of(made, "cleaned")
    reasons = pl.Series("reason", [], pl.String)
    for month in MONTHS:
        counts = metadata(events[month])
        quarantined = made.read("quarantined", month)
        assert counts["rows in"] == made.read("raw_splits", month).height
        assert counts["rows kept"] == made.read("cleaned", month).height
        assert counts["quarantined"] == quarantined.height
        assert counts["rows in"] == counts["rows kept"] + counts["exact copies dropped"] + counts["quarantined"]
        assert quarantined["reason"].null_count() == 0
        assert set(quarantined["date"].dt.strftime("%Y-%m")) <= {month}
        reasons.extend(quarantined["reason"])
    kinds = set(reasons.str.extract(r"^([^:]+)"))
    assert kinds == {"conflict", "list price over the limit", "impossible value"}
    assert reasons.str.contains("price -[0-9.]+ outside").any()
    last = metadata(events[MONTHS[-1]])["this run"].records
    totals = {r.data["rule"]: r.data["count"] for r in last}
    assert totals["rows in"] == sum(metadata(e)["rows in"] for e in events.values())
    assert sum(n for rule, n in totals.items() if rule.startswith("quarantined, ")) == reasons.len()


# ---------------------------------------------------------------- lineage and leakage


@pytest.mark.parametrize(
    ("asset", "months"),
    [("encoders", TRAIN), ("training_features", [m for m in MONTHS if m < HELD[0]])],
)
def test_training_depends_on_exactly_its_months(made, asset, months):
    graph = made.definitions.resolve_asset_graph()
    mapping = graph.get_partition_mapping(dg.AssetKey(asset), dg.AssetKey("cleaned"))
    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        downstream_partitions_subset=None,
        downstream_partitions_def=None,
        upstream_partitions_def=graph.get(dg.AssetKey("cleaned")).partitions_def,
    )
    assert sorted(upstream.partitions_subset.get_partition_keys()) == months


def test_later_prices_change_neither_encoders_nor_the_model(made, tmp_path):
    later = pl.col("date").str.slice(0, 7) >= EVAL
    source = rewrite(
        made.source,
        tmp_path / "later.csv",
        later,
        price=pl.col("price") * 1.2,
        median_list_price=pl.col("median_list_price") * 2,
        median_sale_price=pl.col("median_sale_price") * 2,
        city_full=pl.lit("Boston-Cambridge-Newton"),
    )
    other = Platform(tmp_path, source)
    assert other.job("ingest_job", MONTHS).success
    other.job("training_job", config=FEW_TREES)
    for month in MONTHS:
        same = (made.folder / f"cleaned/{month}.parquet").read_bytes() == (
            other.folder / f"cleaned/{month}.parquet"
        ).read_bytes()
        assert same == (month < EVAL), month
    assert (other.folder / "encoders.parquet").read_bytes() == (made.folder / "encoders.parquet").read_bytes()
    ours, theirs = (bundle_files(p) for p in (made, other))
    assert theirs["model.ubj"] == ours["model.ubj"]
    assert theirs["encoders.parquet"] == ours["encoders.parquet"]
    assert theirs["metrics.json"] != ours["metrics.json"]


def bundle_files(platform: Platform) -> dict[str, bytes]:
    folder = platform.folder / "models" / platform.store.read_json("baseline_model.json")["version"]
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_an_earlier_price_changes_both(made, tmp_path):
    source = rewrite(
        made.source, tmp_path / "early.csv", pl.col("date").str.starts_with(TRAIN[0]), price=pl.col("price") * 1.2
    )
    other = Platform(tmp_path, source)
    assert other.job("ingest_job", MONTHS).success
    assert other.job("training_job", config=FEW_TREES).success
    assert (other.folder / "encoders.parquet").read_bytes() != (made.folder / "encoders.parquet").read_bytes()
    assert bundle_files(other)["model.ubj"] != bundle_files(made)["model.ubj"]


def test_the_matrix_holds_train_and_eval_and_nothing_later(made):
    frame = made.store.read_table("training_features")
    months = {month_of(day) for day in frame["date"].unique()}
    assert months == {m for m in MONTHS if m < HELD[0]}
    assert set(frame["split"]) == {"train", "eval"}


def test_the_same_source_gives_the_same_files_anywhere(made, tmp_path):
    other = Platform(tmp_path / "elsewhere", made.source, {"study_storage": f"sqlite:///{tmp_path}/own.db"}).run_all()
    assert champion_version(other.store) == champion_version(made.store)
    # The manifest says when and by which run; a decision is an event of its own.
    named = ("raw_splits", "monthly_predictions")  # these name their vintage, which has a time
    differing = {name for name in changed(tree(made.folder), tree(other.folder)) if "/decisions/" not in name}
    for asset in named:
        for month in made.store.months(asset).available():
            one, two = (p.read(asset, month).drop("vintage", strict=False) for p in (made, other))
            assert_frame_equal(one, two)
    assert {name for name in differing if not name.startswith(named)} <= {
        f"models/{version}/manifest.json" for version in list_versions(made.store)
    }
    for version in list_versions(made.store):
        ours, theirs = (load_bundle(p.store, version).manifest for p in (made, other))
        assert {**ours, "created": "", "origin": ""} == {**theirs, "created": "", "origin": ""}


# ---------------------------------------------------------------- parameters


def test_a_parameter_out_of_range_is_named(copy):
    before = tree(copy.folder / "models")
    wrong = {
        "baseline_model": {"config": {"max_depth": 99}},
        "tuned_model": {"config": {"space": {"max_depth": [1, 99]}}},
    }
    result = copy.job("training_job", config={"ops": wrong})
    assert not result.success
    told = failure_text(result)
    assert "max_depth=99 is outside 1 to 16" in told
    assert "search space: max_depth=99 is outside 1 to 16" in told
    assert tree(copy.folder / "models") == before


# ---------------------------------------------------------------- in S3


def test_every_stage_over_s3(bucket, made, tmp_path, s3_admin):
    platform = Platform(tmp_path, made.source, {"store_uri": f"s3://{bucket}/some/prefix"}).run_all()
    assert champion_version(platform.store) == champion_version(made.store)
    keys, files = (
        {k for k in names if "/decisions/" not in k and not k.startswith("vintages/")}
        for names in (platform.store.blobs.keys(""), made.store.blobs.keys(""))
    )
    assert keys == files
    for key in ("encoders.parquet", f"cleaned/{HELD[0]}.parquet"):
        body = s3_admin.get_object(Bucket=bucket, Key=f"some/prefix/{key}")["Body"].read()
        assert body == (made.folder / key).read_bytes()


def test_a_larger_panel_takes_the_months_it_has_and_leaves_the_rest(copy, tmp_path):
    longer = write_source(tmp_path / "longer.csv", add_months(END, 1))
    before = tree(copy.folder)
    other = Platform(copy.root, longer, {"panel_end": add_months(END, 1)})
    assert other.job("ingest_job", [add_months(END, 1)]).success
    new = {f"{a}/{add_months(END, 1)}.parquet" for a in ("raw_splits", "cleaned", "quarantined")}
    assert changed(before, tree(copy.folder)) == new
