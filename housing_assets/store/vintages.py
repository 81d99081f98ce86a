"""Vintages: what a publisher's file said on a day, kept as it was.

```
vintages/<source>/2026-11-27T10-45-00Z/data.parquet    rows by month and zip, row groups that end with months
vintages/<source>/2026-11-27T10-45-00Z/vintage.json    what it is, written last: a vintage without it does not exist
```

A vintage never changes. What is in a file, and how two vintages differ, is not known here: see
`housing_assets.core.source` and `housing_assets.core.vintages`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from housing_assets.core.addresses import without_password
from housing_assets.core.errors import DamagedError, StoreError
from housing_assets.core.months import month_end, month_of
from housing_assets.core.prefetch import read_ahead
from housing_assets.store.layout import Store, encode_json
from housing_assets.store.monthly_sort import MonthlySort
from housing_assets.store.parquet import open_writer

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FOLDER = "vintages"
FORMAT = 1
"""Of `vintage.json`. A vintage of a newer format is passed over and named."""
GROUP_ROWS = 24_000
"""Least rows of a row group, but for the last: about one month of every zip, some 200 kB for each column."""
ABANDONED = timedelta(days=1)
"""Age at which what a publication left behind when it was killed is removed: none takes as long."""

_TIME = "%Y-%m-%dT%H-%M-%SZ"
_SOURCE = re.compile(r"[a-z][a-z0-9_-]*")
_DATA, _MANIFEST, _CLAIM = "data.parquet", "vintage.json", "claim"


@dataclass(frozen=True)
class PublishedFile:
    """A file as the publisher gave it.

    Attributes:
        name: without its folder.
        size: in bytes.
        sha256: of its bytes; empty if they were not hashed.
        etag, last_modified: as the server said; empty if it said nothing.
    """

    name: str
    size: int
    sha256: str = ""
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class Origin:
    """Where rows come from.

    Attributes:
        publisher: name for people, such as `Zillow Research`.
        address: that was read; secrets in it are hidden before it is kept.
        files: that were read.
        fetched_at: when they were read; with its time zone.
        published_at: when the publisher wrote them; None where that is not known.
        notes: what readers assumed or passed over, each with how often.
        rolling: True if a month's figures are of the 90 days up to its end.
        attribution: what the publisher's terms ask to be shown.
    """

    publisher: str
    address: str
    files: Sequence[PublishedFile]
    fetched_at: datetime
    published_at: datetime | None = None
    notes: Sequence[tuple[str, int]] = ()
    rolling: bool = False
    attribution: str = ""


@dataclass(frozen=True)
class Vintage(Origin):
    """One vintage, as its manifest says.

    Attributes:
        source: such as `zillow`.
        time: of publication into the store, and its folder's name: UTC, such as `2026-11-27T10-45-00Z`.
        rows_sha256: of the rows, whatever file they are in: the same rows have the same.
        data_sha256: of `data.parquet`.
        first_month, last_month: `YYYY-MM`.
        rows: in all months.
        zips: different ones.
        columns: in the order of the file; `date` (month end) and `zipcode` come first.
        digests: of the rows of each month: the same rows have the same; none in vintages of earlier versions.
    """

    source: str = ""
    time: str = ""
    rows_sha256: str = ""
    data_sha256: str = ""
    first_month: str = ""
    last_month: str = ""
    rows: int = 0
    zips: int = 0
    columns: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its folder, under the store."""
        return f"{FOLDER}/{self.source}/{self.time}"

    @property
    def known_at(self) -> datetime:
        """Since when its figures are known: its publication where the publisher says that, else when it was fetched."""
        return min(self.published_at or self.fetched_at, self.fetched_at)

    def same_rows(self, other: "Vintage | None") -> bool:
        """True if the other vintage has the very same rows."""
        return other is not None and self.rows_sha256 == other.rows_sha256


@dataclass(frozen=True)
class SoundVintage:
    """The newest vintage that is whole.

    Attributes:
        vintage: whose data has the sha256 of its manifest.
        passed_over: of each newer one that is damaged, what is wrong and what to do; for a run's log and metadata.
    """

    vintage: Vintage
    passed_over: tuple[str, ...] = ()


# ---------------------------------------------------------------- writing


def publish(
    store: Store,
    source: str,
    frames: Iterable[pl.DataFrame],
    origin: Callable[[], Origin],
    accept: Callable[[Vintage], None] | None = None,
    now: datetime | None = None,
) -> Vintage:
    """Keep rows as a new vintage. Nothing is listed before all of it is written.

    Two publications at once never share a folder. One that is killed, refused or out of disk leaves nothing that is
    listed.

    Args:
        store: where to.
        source: `housets`, `zillow` or `redfin`; lower case.
        frames: rows in any order, with the columns `date` (a day of the month) and `zipcode`; all frames have the same
            columns. Memory holds all rows once, texts as codes: 0.3 GiB for 7.9 million Zillow rows.
        origin: called once after the last frame, since readers know their notes only then.
        accept: called with the new vintage once its rows can be read with `read` and `iterate`, and before it is
            listed; whatever it raises refuses the vintage, which is removed.
        now: time of the vintage; None: the clock's. Time zone required.

    Returns:
        The new vintage; or the newest one where that has the very same rows: then none is made.

    Raises:
        StoreError: there are no rows, a row has no date or zip, the name of the source is none, or the store cannot be
            written.
    """
    if not _SOURCE.fullmatch(source):
        raise StoreError(f"vintages of {source!r}: name a source in lower case letters, such as zillow")
    rows = MonthlySort(source)
    for frame in frames:
        rows.add(frame)
    digest = rows.finish()
    before = newest(store, source)
    if before and before.rows_sha256 == digest and _holds(store, before):
        return before
    now = now or datetime.now(UTC)
    _remove_abandoned(store, source, now)
    with _claimed(store, source, now) as time:
        candidate = Vintage(
            **_fields(origin()),
            source=source,
            time=time,
            rows_sha256=digest,
            first_month=rows.months[0],
            last_month=rows.months[-1],
            rows=rows.rows,
            zips=rows.zips,
            columns=rows.columns,
            digests=rows.digests,
        )
        candidate = replace(candidate, data_sha256=_write_rows(store, candidate, rows))
        try:
            if accept:
                accept(candidate)
            latest = newest(store, source)
            if latest and latest != before and latest.rows_sha256 == digest:  # another publication was faster
                store.blobs.delete(f"{candidate.key}/{_DATA}")
                return latest
            store.blobs.write(f"{candidate.key}/{_MANIFEST}", _encode(candidate))
        except BaseException:
            store.blobs.delete(f"{candidate.key}/{_DATA}")
            raise
    return candidate


def _fields(origin: Origin) -> dict[str, Any]:
    """The fields of an origin, with tuples for sequences and no secret in the address."""
    return {
        "publisher": origin.publisher,
        "address": without_password(origin.address),
        "files": tuple(origin.files),
        "fetched_at": origin.fetched_at.astimezone(UTC).replace(microsecond=0),
        "published_at": origin.published_at and origin.published_at.astimezone(UTC).replace(microsecond=0),
        "notes": tuple((str(text), int(count)) for text, count in origin.notes),
        "rolling": origin.rolling,
        "attribution": origin.attribution,
    }


def _write_rows(store: Store, vintage: Vintage, rows: MonthlySort) -> str:
    """Write the rows in row groups that end with months; returns the sha256 of the file."""
    with store.blobs.writing(f"{vintage.key}/{_DATA}") as file:
        hashed = _Hashed(file)
        writer: pq.ParquetWriter | None = None
        for table in read_ahead(map(_to_arrow, rows.groups(GROUP_ROWS)), "groups"):
            writer = writer or open_writer(hashed, table.schema)
            writer.write_table(table, row_group_size=max(1, table.num_rows))
        if writer:
            writer.close()
        return hashed.sha256.hexdigest()


def _to_arrow(frame: pl.DataFrame) -> "pa.Table":
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


class _Hashed:
    """A file that is written from start to end, with the sha256 of what was written."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Nothing: who opened the file closes it."""


@contextmanager
def _claimed(store: Store, source: str, now: datetime) -> Iterator[str]:
    """A time that no other publication has, from now on; seconds later where others were at it."""
    at = now.astimezone(UTC)
    while True:
        time = at.strftime(_TIME)
        folder = f"{FOLDER}/{source}/{time}"
        claim = f"{folder}/{_CLAIM}"
        if store.blobs.create(claim, time.encode()):
            if not store.blobs.keys(f"{folder}/{_MANIFEST}"):
                break
            store.blobs.delete(claim)
        at += timedelta(seconds=1)
    try:
        yield time
    finally:
        store.blobs.delete(claim)


def _remove_abandoned(store: Store, source: str, now: datetime) -> None:
    """Remove what killed publications left behind long ago."""
    keys = store.blobs.keys(f"{FOLDER}/{source}/")
    whole = {key.split("/")[2] for key in keys if key.endswith(f"/{_MANIFEST}")}
    for key in keys:
        time = key.split("/")[2]
        if time not in whole and (began := _parsed_time(time)) and now - began > ABANDONED:
            store.blobs.delete(key)


# ---------------------------------------------------------------- which there are


def sources(store: Store) -> list[str]:
    """The sources that have a vintage, in alphabetical order."""
    keys = store.blobs.keys(f"{FOLDER}/")
    return sorted({key.split("/")[1] for key in keys if key.endswith(f"/{_MANIFEST}")})


def list_vintages(store: Store, source: str) -> list[Vintage]:
    """The vintages of a source, oldest first: by when their figures were known, then by when they were kept.

    One whose manifest is damaged is left out; `newest_sound` names it.
    """
    return _listing(store, source)[0]


def newest(store: Store, source: str, as_of: date | None = None) -> Vintage | None:
    """The newest vintage of a source, whole or damaged; None if there is none.

    Args:
        store: where it is.
        source: of which.
        as_of: a day; what became known later (in UTC) does not count.
    """
    vintages = [v for v in list_vintages(store, source) if as_of is None or v.known_at.date() <= as_of]
    return vintages[-1] if vintages else None


def read_vintage(store: Store, source: str, time: str) -> Vintage | None:
    """The vintage of a time, whole or damaged; None where there is none whose manifest can be read."""
    try:
        return _decode(store.blobs.read(f"{FOLDER}/{source}/{time}/{_MANIFEST}"))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def newest_sound(
    store: Store, source: str, as_of: date | None = None, since: str = "", until: str = ""
) -> SoundVintage:
    """The newest vintage whose data is what its manifest says, with what is wrong with newer ones.

    Args:
        store: where it is.
        source: of which.
        as_of: as of `newest`.
        since: time of the earliest vintage that counts; empty: all count.
        until: time of the latest one that counts, unless `as_of` is given or it is gone; empty: all count.

    Raises:
        StoreError: there is none of that day, or each one is damaged; the message says which.
    """
    listed, complaints = _listing(store, source)
    vintages, passed_over = [v for v in listed if v.time >= since], list(complaints)
    times = [v.time for v in vintages]
    if as_of:
        candidates = [v for v in vintages if v.known_at.date() <= as_of]
    else:
        candidates = vintages[: times.index(until) + 1] if until in times else vintages
    for vintage in reversed(candidates):
        try:
            verify(store, vintage)
        except DamagedError as error:
            passed_over.append(str(error))
        else:
            return SoundVintage(vintage, tuple(passed_over))
    if passed_over:
        raise StoreError(f"{store.uri} has no sound vintage of {source}: {'. '.join(passed_over)}")
    if as_of and vintages:
        first = min(v.known_at for v in vintages).date()
        raise StoreError(
            f"HOUSING_AS_OF={as_of}: {store.uri} has no vintage of {source} of that day or before; the first is of "
            f"{first}. Set HOUSING_AS_OF to {first} or later, or leave it empty"
        )
    raise StoreError(f"{store.uri} has no vintage of {source}: run sources_job (or `housing run`) first")


def verify(store: Store, vintage: Vintage) -> None:
    """Compare the data of a vintage with its manifest: reads all of it.

    Raises:
        DamagedError: the data is missing, or its sha256 is another; the message names the vintage.
    """
    key = f"{vintage.key}/{_DATA}"
    try:
        with store.blobs.open(key) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise DamagedError(f"{_named(store, vintage)} lacks {_DATA}: {_REMEDY}") from error
    if digest != vintage.data_sha256:
        raise DamagedError(f"{_named(store, vintage)} is damaged (its sha256 is not the manifest's): {_REMEDY}")


_REMEDY = "restore its folder from a backup, or remove it; the one before it is used meanwhile"


def _holds(store: Store, vintage: Vintage) -> bool:
    try:
        verify(store, vintage)
    except DamagedError:
        return False
    return True


def _named(store: Store, vintage: Vintage) -> str:
    return f"the vintage {vintage.time} of {vintage.source} ({store.uri}/{vintage.key})"


def _listing(store: Store, source: str) -> tuple[list[Vintage], list[str]]:
    """The vintages that can be read, oldest first, and what is wrong with the manifests of others."""
    vintages, complaints = [], []
    for key in store.blobs.keys(f"{FOLDER}/{source}/"):
        if not key.endswith(f"/{_MANIFEST}"):
            continue
        try:
            vintages.append(_decode(store.blobs.read(key)))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            time = key.split("/")[2]
            complaints.append(f"the manifest of the vintage {time} of {source} is damaged ({error}): {_REMEDY}")
    return sorted(vintages, key=lambda v: (v.known_at, v.time)), complaints


# ---------------------------------------------------------------- reading


def read(
    store: Store, vintage: Vintage, months: Collection[str] | None = None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Rows of a vintage as one frame, by month and zip.

    Args:
        store: where it is.
        vintage: to read.
        months: to read; None reads all. Months that it lacks give no rows.
        columns: to read, in this order; None reads all.

    Raises:
        DamagedError: the data is missing or no Parquet, or lacks a column.
    """
    pieces = [frame for _, frame in iterate(store, vintage, months, columns)]
    return pl.concat(pieces) if pieces else _empty(store, vintage, columns)


def iterate(
    store: Store, vintage: Vintage, months: Collection[str] | None = None, columns: Sequence[str] | None = None
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Months of a vintage in order, each with its rows by zip: memory holds a row group alone.

    Args and errors as of `read`; a month without rows is not given.
    """
    wanted = None if months is None else set(months)
    needed = None if columns is None else list(dict.fromkeys([*columns, "date"]))
    with _opened(store, vintage) as file:
        for group in _groups(file, wanted):
            rows = cast(pl.DataFrame, pl.from_arrow(file.read_row_group(group, needed)))
            if columns is not None and (absent := set(columns) - set(rows.columns)):
                raise KeyError(f"it has no column {', '.join(sorted(absent))}")
            for day, frame in rows.group_by("date", maintain_order=True):
                month = month_of(cast(date, day[0]))
                if wanted is None or month in wanted:
                    yield month, frame if columns is None else frame.select(columns)


def paired_months(
    store: Store, old: Vintage, new: Vintage, columns: Sequence[str] | None = None
) -> Iterator[tuple[str, pl.DataFrame | None, pl.DataFrame | None]]:
    """Months of either of two vintages in order, with the rows of both; None where one has none.

    For `housing_assets.core.vintages.revisions.revisions_of`: memory holds a row group of each. A month whose digest is
    the same in both is read once, and its frame is given twice.

    Args:
        store: where they are.
        old, new: to compare.
        columns: to read; those that a vintage lacks are left out of its rows; None reads all.

    Raises:
        DamagedError: the data of one is missing or no Parquet.
    """
    same = {month for month, digest in old.digests.items() if digest == new.digests.get(month)}
    sides = []
    for vintage, months in ((old, {*old.digests} - same if same else None), (new, None)):
        needed = None if columns is None else ["zipcode", *(c for c in columns if c in vintage.columns)]
        sides.append(read_ahead(iterate(store, vintage, months, needed and list(dict.fromkeys(needed))), "vintage"))
    before, after = (next(side, None) for side in sides)
    while before or after:
        month = min(side[0] for side in (before, after) if side)
        rows = [side[1] if side and side[0] == month else None for side in (before, after)]
        yield month, rows[1] if month in same else rows[0], rows[1]
        if before and before[0] == month:
            before = next(sides[0], None)
        if after and after[0] == month:
            after = next(sides[1], None)


def available_months(store: Store, vintage: Vintage) -> dict[str, int]:
    """The months that a vintage has, in order, with their rows; errors as of `read`."""
    counts = read(store, vintage, columns=["date"]).group_by("date").len().sort("date")
    return {month_of(day): rows for day, rows in counts.iter_rows()}


def _empty(store: Store, vintage: Vintage, columns: Sequence[str] | None) -> pl.DataFrame:
    with _opened(store, vintage) as file:
        frame = cast(pl.DataFrame, pl.from_arrow(file.schema_arrow.empty_table()))
    return frame if columns is None else frame.select(columns)


def _groups(file: "pq.ParquetFile", months: Collection[str] | None) -> list[int]:
    """The row groups whose statistics do not rule the months out."""
    every = range(file.metadata.num_row_groups)
    if months is None:
        return list(every)
    days = [month_end(month) for month in months]
    column = file.schema_arrow.get_field_index("date")
    groups = []
    for group in every:
        statistics = file.metadata.row_group(group).column(column).statistics
        if not (statistics and statistics.has_min_max) or any(statistics.min <= d <= statistics.max for d in days):
            groups.append(group)
    return groups


@contextmanager
def _opened(store: Store, vintage: Vintage) -> Iterator["pq.ParquetFile"]:
    # Here, since serving may list vintages, and needs pyarrow's 38 MB for Arrow calls alone.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with store.blobs.open(f"{vintage.key}/{_DATA}") as stream, pq.ParquetFile(stream) as file:
            yield file
    except FileNotFoundError as error:
        raise DamagedError(f"{_named(store, vintage)} lacks {_DATA}: {_REMEDY}") from error
    except (pa.ArrowException, KeyError) as error:
        raise DamagedError(f"{_named(store, vintage)} is damaged ({error}): {_REMEDY}") from error


# ---------------------------------------------------------------- the manifest


def _encode(vintage: Vintage) -> bytes:
    manifest: dict[str, Any] = {"format": FORMAT, **asdict(vintage)}
    manifest["fetched_at"] = vintage.fetched_at.isoformat()
    manifest["published_at"] = vintage.published_at and vintage.published_at.isoformat()
    manifest["notes"] = [{"text": text, "count": count} for text, count in vintage.notes]
    return encode_json({**manifest, "manifest_sha256": _manifest_digest(manifest)})


def _decode(data: bytes) -> Vintage:
    """The vintage of a manifest; ValueError, KeyError or TypeError if it is damaged."""
    manifest = json.loads(data)
    if manifest.pop("format") != FORMAT:
        raise ValueError("its format is of another version of the platform")
    if manifest.pop("manifest_sha256") != _manifest_digest({"format": FORMAT, **manifest}):
        raise ValueError("its sha256 is another")
    published = manifest["published_at"]
    return Vintage(
        **{
            **manifest,
            "files": tuple(PublishedFile(**file) for file in manifest["files"]),
            "fetched_at": datetime.fromisoformat(manifest["fetched_at"]),
            "published_at": datetime.fromisoformat(published) if published else None,
            "notes": tuple((note["text"], note["count"]) for note in manifest["notes"]),
            "columns": tuple(manifest["columns"]),
        }
    )


def _manifest_digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _parsed_time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
