"""The API at size: memory by the zips of its history, the largest body that is answered, and what is refused."""

import io
import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from figures import Figure
from serving import ARROW, JSON, SETTLED, bodies, cpu_milliseconds, resident_megabytes, server

from housing_assets.core.errors import BundleError
from housing_assets.core.features.history import HISTORY_SCHEMA
from housing_assets.core.months import add_months, month_end
from housing_assets.core.panel.places import metros
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.store.bundles import load_bundle, publish_bundle
from housing_assets.store.histories import ASSET, KEY
from housing_assets.store.layout import Store
from housing_assets.store.parquet import encode_parquet
from housing_assets.store.pointers import champion_version
from housing_assets.store.verdicts import State, Verdict, write_verdicts

_END = "2023-12"
_SIZES = ((6_226, 142, 260), (26_300, 300, 450))
"""Zips and months of a history, and the megabytes that the API may have resident with it."""
_REDUCED = 6
"""By which the zips are divided, unless at full size."""
_MANY_ROWS = 100_000
_FIGURES = tuple(name for name, kind in HISTORY_SCHEMA.items() if kind == pl.Float32())


def size_figures(store: Store, folder: Path, full: bool) -> Iterator[Figure]:
    """Memory, the largest Arrow stream, and refusals.

    Args:
        store: with a champion, which may predict from histories.
        folder: of the stores that are made.
        full: True for all zips, which the targets are set for.
    """
    yield from memory(store, folder, full)
    yield from many_rows(store)
    yield from refusals(store)
    yield from damaged_bundle(store, folder)


def memory(store: Store, folder: Path, full: bool) -> Iterator[Figure]:
    """What the API has resident with histories of several sizes, after bulk calls."""
    _, thousand, stream = bodies(store)
    for zips, months, most in _SIZES:
        held = zips if full else zips // _REDUCED
        grown = _with_history(store, folder / f"zips-{held}", held, months)
        with server(grown) as (process, url, seconds):
            for body, kind in ((thousand, JSON), (stream, ARROW)):
                cpu_milliseconds(process, f"{url}/predict", body, kind, calls=20)
            told, resident = resident_megabytes(process)
        shutil.rmtree(folder / f"zips-{held}")
        name = f"resident with a history of {held:,} zips and {months} months, {SETTLED} s after bulk calls"
        target = (f"{most} MB", resident < most) if full else ("", None)
        yield Figure("sizes", name, f"{told}, ready in {seconds:.1f} s", *target)


def _with_history(store: Store, folder: Path, zips: int, months: int) -> Store:
    """The models of a store beside a made history: random walks of prices, and market figures of half of the zips."""
    folder.mkdir(parents=True)
    shutil.copytree(Path(store.uri) / "models", folder / "models")
    random_ = np.random.default_rng(1)
    price = np.exp(12.5 + np.cumsum(random_.normal(0.003, 0.01, (zips, months)), axis=1))
    days = pl.Series([month_end(add_months(_END, back)) for back in range(1 - months, 1)])
    names = pl.Series([area.name for area in metros().values()][:400])
    table = pl.DataFrame(
        {
            "date": days.gather(np.tile(np.arange(months), zips)),
            "zipcode": pl.Series([f"{i:05}" for i in range(zips)]).gather(np.repeat(np.arange(zips), months)),
            "city_full": names.gather(np.repeat(np.arange(zips) % len(names), months)),
            "price": price.ravel(),
            **{name: _market(random_, zips, months) for name in _FIGURES},
        },
        schema=HISTORY_SCHEMA,
    )
    grown = Store.open(str(folder))
    grown.write_table(ASSET, table)
    write_verdicts(grown, [Verdict(ASSET, "", State.GREEN, grown.blobs.stamps(KEY)[KEY], table.height)])
    return grown


def _market(random_: np.random.Generator, zips: int, months: int) -> np.ndarray:
    values = random_.uniform(0.5, 50, (zips, months)).astype(np.float32)
    values[::2] = np.nan
    return values.ravel()


def many_rows(store: Store) -> Iterator[Figure]:
    """The CPU of one call with 100,000 rows as Arrow, beside that of bare XGBoost on the same rows."""
    from housing_assets.store.pointers import load_champion
    from housing_serving.arrow import decode_arrow
    from housing_serving.predictor import Predictor

    months = store.months("cleaned")
    frame = months.read_many(months.available()[-12:], COLUMN_NAMES)
    table = pl.concat([frame] * (1 + _MANY_ROWS // frame.height)).head(_MANY_ROWS)
    sink = pa.BufferOutputStream()
    arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
    with pa.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    body = sink.getvalue().to_pybytes()
    predictor = Predictor(load_champion(store), None)
    matrix = predictor.matrix(decode_arrow(body, _MANY_ROWS))
    begun = time.process_time()
    predictor.model.trees.booster.inplace_predict(matrix, validate_features=False)
    bare = 1e3 * (time.process_time() - begun)
    with server(store, HOUSING_MAX_ROWS=str(_MANY_ROWS), HOUSING_MAX_BODY_MB="100") as (process, url, _):
        for name, query in (("from history", ""), ("from their own figures", "?history=false")):
            own = cpu_milliseconds(process, f"{url}/predict{query}", body, ARROW, calls=5)
            told = f"{own / bare:.2f} ({own:,.0f} ms / {bare:,.0f} ms)"
            yield Figure(
                "sizes", f"{_MANY_ROWS:,} rows of Arrow, {name}: CPU / bare XGBoost", told, "1.1", own <= 1.1 * bare
            )


def refusals(store: Store) -> Iterator[Figure]:
    """The CPU of the largest bodies that are refused, beside that of as many valid rows."""
    rows = json.loads(bodies(store)[1]) * 10
    valid = json.dumps(rows).encode()
    stream = bodies(store)[2]
    shuffled = bytearray(stream)
    random.Random(1).shuffle(shuffled)
    refused = {
        "one bad row, the last of 10,000": (json.dumps([*rows[:-1], {**rows[-1], "price": -1}]).encode(), JSON, 422),
        "a key twice in the last of 10,000 rows": (valid[:-2] + b', "price": 1}]', JSON, 400),
        "16 MB of lists": (json.dumps([[]] * 3_999_999).encode(), JSON, 422),
        "16 MB of brackets": (b"[" * 15_999_999, JSON, 400),
        "an Arrow stream whose bytes are shuffled": (bytes(shuffled), ARROW, 400),
    }
    with server(store) as (process, url, _):
        base = cpu_milliseconds(process, f"{url}/predict", valid, JSON, calls=5)
        for name, (body, kind, status) in refused.items():
            took = cpu_milliseconds(process, f"{url}/predict", body, kind, calls=5, status=status)
            told = f"{took / base:.2f} ({took:.0f} ms / {base:.0f} ms)"
            title = f"to refuse {name}: CPU / to answer 10,000 valid rows"
            yield Figure("sizes", title, told, "3", took <= 3 * base)


def damaged_bundle(store: Store, folder: Path) -> Iterator[Figure]:
    """The CPU of refusing the bundle that is found out last, beside that of taking a good one.

    Its hashes agree, and its golden rows expect other prices than the model gives.
    """
    from housing_serving.predictor import Predictor

    good = load_bundle(store, champion_version(store) or "")
    rows = pl.read_parquet(io.BytesIO(good.files["golden_rows.parquet"]))
    wrong = encode_parquet(rows.with_columns(pl.col("expected_price") * 1.01))
    copy = Store.open(str(folder / "damaged"))
    version = publish_bundle(copy, "damaged", {**good.files, "golden_rows.parquet": wrong}, {})

    def milliseconds(there: Store, which: str) -> float:
        begun = time.process_time()
        try:
            Predictor(load_bundle(there, which), None)
        except BundleError:
            if which != version:
                raise
        return 1e3 * (time.process_time() - begun)

    taken, refused = (min(milliseconds(*of) for _ in range(5)) for of in ((store, good.version), (copy, version)))
    told = f"{refused / taken:.2f} ({refused:.0f} ms / {taken:.0f} ms)"
    yield Figure("sizes", "to refuse a bundle with wrong golden rows: CPU / to take it", told, "1", refused <= taken)
