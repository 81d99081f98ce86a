"""From the addresses of HOUSING_SOURCE_URI to vintages in the store: what is new is kept, what cannot be is refused.

A source whose files are those of the last look is not read again. A new vintage is compared with the one in use before
it counts. What cannot be a revision of it is refused, and the one in use stays.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.errors import DamagedError, SourceError
from housing_assets.core.months import add_months
from housing_assets.core.panel.schema import COLUMN_NAMES, RAW_SCHEMA
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample
from housing_assets.core.source.notes import Notes
from housing_assets.core.source.source import RecognizedSource, open_source
from housing_assets.core.vintages.revisions import COMPARED, Finding, judge_revision, lost_columns, revisions_of
from housing_assets.ingestion.addresses import FetchedSource, addresses_of, fetch_source
from housing_assets.ingestion.overlaps import Agreement, FirstWins
from housing_assets.ingestion.publishers import PUBLISHERS
from housing_assets.store import vintages
from housing_assets.store.layout import Store
from housing_assets.store.sources import (
    SourceRecord,
    SourcesRecord,
    read_record,
    write_labels,
    write_record,
    write_revisions,
)
from housing_assets.store.vintages import Origin, Vintage

SAMPLE = "sample"
"""Name of the generated sample's vintages: a panel of one's own never counts as a revision of it."""
RELATED_ZIPS = 0.5
"""Share of the zips in use that a file at another address has, from which on it is judged as a revision of them."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """What became of one source.

    Attributes:
        kind: `housets`, `zillow`, `redfin` or `sample`.
        vintage: that is in use; None if there is none.
        is_new: True if this call made it.
        refused: why the files at the addresses are not used; empty if they are.
        warnings: what is unusual about the vintage.
    """

    kind: str
    vintage: Vintage | None
    is_new: bool = False
    refused: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """What became of all sources.

    Attributes:
        sources: in the order of their addresses.
        failures: of addresses that could not be read: what is wrong and what to do.
    """

    sources: tuple[Published, ...]
    failures: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """Failures and refusals."""
        return (*self.failures, *(s.refused for s in self.sources if s.refused))


class _RefusedError(Exception):
    """A vintage that cannot be a revision of the one in use."""


@dataclass(frozen=True)
class _Part:
    """One address of a source, open."""

    fetched: FetchedSource
    source: RecognizedSource


def publish_sources(
    settings: Settings, store: Store, progress: Progress = lambda _: None, accept: str = ""
) -> Publication:
    """Keep what is new at the addresses as vintages.

    Args:
        settings: of the platform.
        store: where to.
        progress: receives in words what goes on.
        accept: why a vintage is accepted that cannot be a revision of the one before it; empty: the setting.

    Raises:
        SourceError: an address cannot be read, or what it gives is refused, and there is no vintage of it.
    """
    accept = accept or settings.accept_restated
    before = read_record(store)
    fetched, failures = _fetched(settings, progress)
    changed = [f for f in fetched if _is_changed(store, before, settings.source_label, f, accept)]
    record = SourcesRecord(settings.source_label)
    made: dict[str, Published] = {}
    with ExitStack() as stack:
        parts = _opened(stack, before, fetched, changed, failures, progress)
        _keep(settings, before, record, parts, fetched)
        for kind in record.sources:
            if kind in parts:
                try:
                    made[kind] = _publish(store, settings, kind, parts[kind], record.sources[kind], progress, accept)
                except SourceError as error:
                    failures.append(str(error))
                    record.sources[kind].stamps = dict.fromkeys(record.sources[kind].stamps, "")
    record.sources = {kind: source for kind, source in record.sources.items() if source.time or source.refused}
    if not all(_is_served(before, record, made, address.text) for address in addresses_of(settings)):
        raise SourceError("\n".join([*failures, *(p.refused for p in made.values() if p.refused)]))
    if record != before:
        write_record(store, record)
    sources = [made.get(kind) or _in_use(store, kind, source) for kind, source in record.sources.items()]
    return Publication(tuple(sources), tuple(failures))


def _fetched(settings: Settings, progress: Progress) -> tuple[list[FetchedSource], list[str]]:
    fetched, failures = [], []
    for address in addresses_of(settings):
        try:
            fetched.append(fetch_source(address, settings, progress))
        except SourceError as error:
            failures.append(str(error))
    return fetched, failures


def _is_changed(store: Store, before: SourcesRecord, label: str, fetched: FetchedSource, accept: str) -> bool:
    """True if the files of a source have to be read."""
    text = fetched.address.text
    if before.label != label or before.stamp(text) != fetched.stamp:
        return True
    kind = before.kind(text)
    source = before.sources[kind]
    if source.refused and accept:
        return True
    vintage = find_vintage(store, kind, source.time)
    try:
        if vintage:
            vintages.verify(store, vintage)
    except DamagedError:
        return True  # its files may still be what it was made from
    return vintage is None and not source.refused


def _opened(
    stack: ExitStack,
    before: SourcesRecord,
    fetched: Sequence[FetchedSource],
    changed: Sequence[FetchedSource],
    failures: list[str],
    progress: Progress,
) -> dict[str, list[_Part]]:
    """The sources to read, by kind: those that changed, and others of the same kinds."""
    opened: dict[str, _Part] = {}

    def open_one(one: FetchedSource) -> None:
        try:
            source = stack.enter_context(open_source(one.uri, progress=progress))
        except SourceError as error:
            failures.append(str(error))
        else:
            opened[one.address.text] = _Part(one, source)

    for one in changed:
        open_one(one)
    kinds = {_kind_of(part) for part in opened.values()}
    for one in fetched:
        if one not in changed and before.kind(one.address.text) in kinds:
            open_one(one)
    parts: dict[str, list[_Part]] = {}
    for one in fetched:
        if part := opened.get(one.address.text):
            parts.setdefault(_kind_of(part), []).append(part)
    return parts


def _kind_of(part: _Part) -> str:
    is_sample = not part.fetched.address.text or part.fetched.address.text.startswith("synthetic sample")
    return SAMPLE if is_sample else part.source.kind


def _keep(
    settings: Settings,
    before: SourcesRecord,
    record: SourcesRecord,
    parts: dict[str, list[_Part]],
    fetched: Sequence[FetchedSource],
) -> None:
    """Begin the record: every kind in the order of its first address, with what was known of it."""
    by_address = {part.fetched.address.text: kind for kind, several in parts.items() for part in several}
    for address in addresses_of(settings):
        kind = by_address.get(address.text) or (before.label == record.label and before.kind(address.text)) or ""
        if kind and kind not in record.sources:
            old = before.sources.get(kind, SourceRecord())
            is_read = kind in parts
            record.sources[kind] = replace(old, stamps={} if is_read else dict(old.stamps), warnings=[*old.warnings])
        if kind in parts:
            stamp = next((f.stamp for f in fetched if f.address.text == address.text), "")
            record.sources[kind].stamps[address.text] = stamp


def _is_served(before: SourcesRecord, record: SourcesRecord, made: Mapping[str, Published], address: str) -> bool:
    """True if there is a vintage of an address itself, made now or before: that of another address is none of it."""
    kind = record.kind(address)
    is_made = kind in made and not made[kind].refused
    return bool(kind and record.sources[kind].time and (is_made or before.kind(address)))


def find_vintage(store: Store, kind: str, time: str) -> Vintage | None:
    """The vintage of a source that has a time; None if there is none."""
    return next((v for v in vintages.list_vintages(store, kind) if v.time == time), None) if time else None


def _in_use(store: Store, kind: str, source: SourceRecord) -> Published:
    vintage = find_vintage(store, kind, source.time)
    return Published(kind, vintage, False, source.refused, tuple(source.warnings))


# ---------------------------------------------------------------- one source


def _publish(
    store: Store,
    settings: Settings,
    kind: str,
    parts: Sequence[_Part],
    source: SourceRecord,
    progress: Progress,
    accept: str,
) -> Published:
    """Keep the rows of a source as a vintage, and change its record accordingly.

    Raises:
        SourceError: a file breaks its layout.
    """
    previous = _previous(store, kind, source)
    if kind == SAMPLE and previous is None:
        previous = _publish_earlier_sample(store, settings, parts[0])
        source.since = previous.time
    addresses = {part.fetched.address.text for part in parts}
    judged = _Judged(store, kind, previous, addresses, accept)
    notes = Notes()

    def judge(candidate: Vintage) -> None:
        for part in parts:
            write_labels(store, candidate, part.source.labels)
        judged.judge(candidate)

    try:
        vintage = vintages.publish(store, kind, _rows(kind, parts, notes), lambda: _origin(parts, notes), judge)
        is_unrecorded = vintage.time != source.time and not judged.is_done
        if is_unrecorded and previous and previous.time != vintage.time:
            # A publication was killed after it had listed this vintage and before it had recorded that it is in use.
            judged.judge(vintage)
    except _RefusedError as error:
        source.refused = str(error)
        source.compared = previous.time if previous else ""
        progress(f"refused: {error}")
        return Published(kind, previous, False, source.refused)
    is_new = vintage.time != source.time
    if is_new and judged.is_done:
        source.compared = previous.time if previous and judged.is_related else ""
        source.since = source.since if judged.is_related and source.since else vintage.time
        source.warnings = judged.warnings
    source.time, source.refused = vintage.time, ""
    progress(f"{kind}: {'vintage' if is_new else 'the rows of the vintage'} {vintage.time}, {vintage.rows:,} rows")
    return Published(kind, vintage, is_new, "", tuple(source.warnings))


def _previous(store: Store, kind: str, source: SourceRecord) -> Vintage | None:
    """The vintage in use, or the newest one that is whole."""
    listed = vintages.list_vintages(store, kind)
    in_use = [v for v in listed if v.time == source.time]
    for vintage in (*in_use, *reversed(listed)):
        try:
            vintages.verify(store, vintage)
        except DamagedError:
            continue
        return vintage
    return None


@dataclass
class _Judged:
    """Compares a vintage with the one in use, when it was written and is not yet listed."""

    store: Store
    kind: str
    previous: Vintage | None
    addresses: set[str]
    accept: str
    is_done: bool = False
    is_related: bool = False
    warnings: list[str] = None  # type: ignore[assignment]

    def judge(self, candidate: Vintage) -> None:
        """Refuse a vintage that cannot be a revision of the one in use.

        Raises:
            _RefusedError: it cannot; the message says why and what to do.
        """
        self.is_done, self.warnings = True, []
        old = self.previous
        if old is None or not self._is_same(old, candidate):
            return
        self.is_related = True
        table = revisions_of(vintages.paired_months(self.store, old, candidate, ["zipcode", *COMPARED]))
        write_revisions(self.store, self.kind, table)
        verdict = judge_revision(table, self.kind, old.published_at, candidate.published_at)
        self.warnings = [finding.text for finding in verdict.warnings]
        blocks = list(verdict.blocks)
        if lost := lost_columns(old.columns, candidate.columns, self.kind):
            if any(publisher.word == self.kind for publisher in PUBLISHERS):
                blocks.append(lost)
            else:  # whoever makes a panel of their own may leave a column out
                self.warnings.append(lost.text)
        if not blocks:
            return
        if self.kind == SAMPLE:  # generated over other months: the settings changed, not the sample
            self.is_related, self.warnings = False, []
            return
        if not self.accept:
            raise _RefusedError(_reason(blocks))
        self.warnings += [f"accepted ({self.accept}): {finding.text}" for finding in blocks]

    def _is_same(self, old: Vintage, new: Vintage) -> bool:
        """True if the two are of one panel: of one address, or with many zips in common."""
        if self.addresses == set(old.address.split("\n")):
            return True
        if self.kind == SAMPLE:
            return False
        before, after = (set(vintages.read(self.store, v, columns=["zipcode"])["zipcode"]) for v in (old, new))
        return len(before & after) >= RELATED_ZIPS * len(before)


def _reason(blocks: Sequence[Finding]) -> str:
    told = " ".join(finding.text for finding in blocks)
    return (
        f"{told} If it is right all the same: `housing run --accept-restated WHY`, or set HOUSING_ACCEPT_RESTATED "
        "and run sources_job"
    )


def _rows(kind: str, parts: Sequence[_Part], notes: Notes) -> Iterator[pl.DataFrame]:
    """The rows of all addresses of a source, with the same columns; of a zip and month the first address counts."""
    given = {name for part in parts for name in part.source.columns}
    names = ["date", "zipcode", *(n for n in COLUMN_NAMES if n in given)]
    first = FirstWins() if len(parts) > 1 else None
    for part in parts:
        several = kind in ("housets", SAMPLE) and len(part.source.files) > 1
        agreement = Agreement(part.fetched.uri) if several else None
        for frame in part.source.frames():
            if agreement:
                agreement.add(part.source.file, frame)
            missing = [pl.lit(None, RAW_SCHEMA[n]).alias(n) for n in names if n not in frame.columns]
            rows = frame.with_columns(missing).select(names)
            yield first.take(rows) if first else rows
        if agreement:
            agreement.require()
        if first:
            first.next_address(part.fetched.address.text, notes)


def _origin(parts: Sequence[_Part], notes: Notes) -> Origin:
    fetched = [part.fetched for part in parts]
    kind = _kind_of(parts[0])
    publisher = next((p for p in PUBLISHERS if p.word == kind), None)
    dates = [f.published_at for f in fetched if f.published_at]
    told = [(n.text, n.count) for part in parts for n in part.source.notes] + [(n.text, n.count) for n in notes]
    return Origin(
        publisher=publisher.name if publisher else parts[0].source.title,
        address="\n".join(f.address.text for f in fetched),
        files=[file for f in fetched for file in f.files],
        fetched_at=datetime.now(UTC),
        published_at=max(dates) if dates else None,
        notes=told,
        rolling=any("rolling" in text for text, _ in told),
        attribution=publisher.attribution if publisher else "",
    )


def _publish_earlier_sample(store: Store, settings: Settings, part: _Part) -> Vintage:
    """An earlier vintage of the sample, revised and a month shorter, so that there is one to compare with."""
    end = add_months(settings.last_month, -2)
    spec = SampleSpec(settings.sample_zips, settings.panel_start, end, dirt=True)
    with tempfile.TemporaryDirectory(prefix="housing-sample-") as folder:
        path = Path(folder) / "earlier.parquet"
        write_sample(spec, path, vintage=2)
        with open_source(path) as source:
            earlier = _Part(replace(part.fetched, files=()), source)
            return vintages.publish(store, SAMPLE, source.frames(), lambda: _origin([earlier], Notes()))
