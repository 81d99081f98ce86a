"""What the grades of forecasts are made of up to a month, kept so that a month that is added is graded alone.

A record is used only where all that it was made from is still the same: the history up to its month, the fits, the
first prices, the split and the code. A restated past is graded anew.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from housing_assets.core.baselines import growth
from housing_assets.core.features import history as history_features
from housing_assets.core.features import series
from housing_assets.core.features.history import History
from housing_assets.core.forecasting import backtest, grading, intervals
from housing_assets.core.forecasting.backtest import Backtest
from housing_assets.core.forecasting.grading import COVERED_SCHEMA, SKILL_SCHEMA, TALLY_SCHEMA
from housing_assets.core.forecasting.intervals import ForecastErrors, OriginErrors, Scale
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.intervals import conformal
from housing_assets.core.models import autoregression, combination, refitted, ridge
from housing_assets.core.models.refitted import Losses, files_of_fits
from housing_assets.core.months import TimeSplit

_GRADING = (
    *(history_features, series, growth, ridge, autoregression, combination, refitted),
    *(conformal, intervals, backtest, grading),
)
"""The modules that decide what is in a record."""
_FACTS = "record.json"


class FirstPublished(Protocol):
    """First published prices, which are read when they are needed."""

    @property
    def vintages(self) -> Mapping[str, Sequence[str]]:
        """Names of the vintages that they are looked for in, by source, the earliest first. A vintage never changes."""
        ...

    @property
    def damaged(self) -> Sequence[str]:
        """Of each vintage that could not be read so far, what is wrong."""
        ...

    def since(self, month: str) -> pl.DataFrame:
        """Those of a month and of later ones: `housing_assets.core.vintages.first_prices.FIRST_SCHEMA`."""
        ...


@dataclass(frozen=True)
class ForecastRecord:
    """What the grades of a forecast model are made of.

    Attributes:
        walked: the walk up to a month.
        tallies: `TALLY_SCHEMA`, of the months walked.
        skill: `SKILL_SCHEMA`, likewise.
        coverage: `COVERED_SCHEMA`, likewise.
        digest: of all that they were made from, first prices apart; empty: not known.
        vintages: that first prices were looked for in, by source; None: one of them could not be read.
    """

    walked: Backtest
    tallies: pl.DataFrame
    skill: pl.DataFrame
    coverage: pl.DataFrame
    digest: str = ""
    vintages: Mapping[str, tuple[str, ...]] | None = None

    @classmethod
    def begin(cls, model: ForecastModel) -> "ForecastRecord":
        """A record of no month."""
        tallies, skill, coverage = (
            pl.DataFrame(schema=schema) for schema in (TALLY_SCHEMA, SKILL_SCHEMA, COVERED_SCHEMA)
        )
        return cls(Backtest.begin(model), tallies, skill, coverage)

    def copy(self) -> "ForecastRecord":
        """Another record of the same months, whose walk goes on by itself."""
        return replace(self, walked=deepcopy(self.walked))

    def made_from(
        self, history: History, model: ForecastModel, split: TimeSplit, first: FirstPublished | None
    ) -> "ForecastRecord":
        """The same record with what it was made from."""
        vintages = {} if first is None else {source: tuple(times) for source, times in first.vintages.items()}
        is_whole = first is None or not first.damaged
        return replace(
            self, digest=_digest(self.walked, history, model, split), vintages=vintages if is_whole else None
        )

    def holds(self, history: History, model: ForecastModel, split: TimeSplit, first: FirstPublished | None) -> bool:
        """True if the record would be made again of this history, model, split and first prices.

        A price of the history is in the vintage that it was made from. So later vintages give no month of the record
        another first price, as long as the earlier ones are the same.

        Args:
            history: of all zips.
            model: that is graded.
            split: its months belong to.
            first: first published prices; None: none is known.
        """
        now = {} if first is None else first.vintages
        if self.vintages is None or list(self.vintages) != list(now):
            return False
        if any(tuple(now[source])[: len(times)] != times for source, times in self.vintages.items()):
            return False
        through = self.walked.through
        if not self.digest or not history.first_month <= through <= history.last_month:
            return False
        return self.digest == _digest(self.walked, history, model, split)

    @property
    def is_complete(self) -> bool:
        """True if the record has all that later months need. A panel of a few zips can be too short for widths, and the
        fits of an earlier bundle cannot be told from others."""
        return bool(self.digest) and self.walked.errors.is_scored

    def to_bytes(self) -> bytes:
        """The record as one file: a zip archive of readable tables."""
        walked = self.walked
        facts = {
            "digest": self.digest,
            "vintages": self.vintages,
            "through": walked.through,
            "members": walked.members,
            "horizons": walked.horizons,
            "noise": walked.errors.noise,
        }
        tables = {
            "weights": _weights_table(walked),
            "intervals": walked.intervals(),
            "losses": _losses_table(walked.losses),
            "errors": _errors_table(walked.errors),
            "scales": _scales_table(walked.errors),
            "tallies": self.tallies,
            "skill": self.skill,
            "coverage": self.coverage,
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            with archive.open(_FACTS, "w") as file:  # `writestr` would add the time
                file.write(json.dumps(facts).encode())
            for name, table in tables.items():
                with archive.open(f"{name}.parquet", "w") as file:
                    table.write_parquet(file, compression="zstd", compression_level=1)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "ForecastRecord | None":
        """Read a record back; None where the file is damaged, or of another version."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                facts = json.loads(archive.read(_FACTS))
                tables = {
                    name.removesuffix(".parquet"): pl.read_parquet(io.BytesIO(archive.read(name)))
                    for name in archive.namelist()
                    if name != _FACTS
                }
            return _record(facts, tables)
        except (zipfile.BadZipFile, EOFError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            return None


def _digest(walked: Backtest, history: History, model: ForecastModel, split: TimeSplit) -> str:
    """Digest of all that the months walked so far were made from, first prices apart; empty where a fit has no file."""
    through = walked.through
    fits = {month: fit for month, fit in model.fits.items() if month <= through}
    if any(fit.is_of_earlier_bundle for fit in fits.values()):
        return ""
    told = [through, split.eval_start, split.holdout_start, history.fingerprint(through)]
    digest = hashlib.sha256(json.dumps(told).encode())
    for name, data in files_of_fits(fits).items():
        digest.update(name.encode() + data)
    for module in _GRADING:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _weights_table(walked: Backtest) -> pl.DataFrame:
    rows = [
        (origin, horizon, of_horizon.tolist())
        for origin, table in walked.weights.items()
        for horizon, of_horizon in zip(walked.horizons, table, strict=True)
    ]
    return _table(rows, {"weights": pl.List(pl.Float64())})


def _losses_table(losses: Losses) -> pl.DataFrame:
    rows = [(o, h, values.tolist()) for h, of_horizon in losses.by_horizon.items() for o, values in of_horizon.items()]
    return _table(rows, {"losses": pl.List(pl.Float64())})


def _errors_table(errors: ForecastErrors) -> pl.DataFrame:
    rows = [
        (o, h, e.common, e.own_to_noise, e.outcomes, e.largest, [] if e.scores is None else e.scores.tolist())
        for h, of_horizon in errors.by_horizon.items()
        for o, e in of_horizon.items()
    ]
    kinds = {name: pl.Float64() for name in ("common", "own_to_noise", "outcomes", "largest")}
    return _table(rows, {**kinds, "outcomes": pl.Int64(), "scores": pl.List(pl.Float64())})


def _scales_table(errors: ForecastErrors) -> pl.DataFrame:
    rows = [(o, h, s.common, s.own) for h, of_horizon in errors.scales.items() for o, s in of_horizon.items()]
    return _table(rows, {"common": pl.Float64(), "own": pl.Float64()})


def _table(rows: list[tuple], columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"origin": pl.String(), "horizon": pl.Int64(), **columns}, orient="row")


def _record(facts: Mapping, tables: Mapping[str, pl.DataFrame]) -> ForecastRecord:
    members, horizons = tuple(facts["members"]), tuple(facts["horizons"])
    losses, errors = Losses(members), ForecastErrors(horizons, noise=dict(facts["noise"]))
    for origin, horizon, values in tables["losses"].iter_rows():
        losses.by_horizon.setdefault(horizon, {})[origin] = np.array(values)
    for origin, horizon, *told, scores in tables["errors"].iter_rows():
        errors.by_horizon.setdefault(horizon, {})[origin] = OriginErrors(*told, scores=np.array(scores))
    for origin, horizon, common, own in tables["scales"].iter_rows():
        errors.scales.setdefault(horizon, {})[origin] = Scale(common, own)
    weights = {
        str(origin): np.array(of_origin["weights"].to_list())
        for (origin,), of_origin in tables["weights"].group_by("origin", maintain_order=True)
    }
    widths: dict[str, list] = {origin: [] for origin in weights}
    for row in tables["intervals"].iter_rows():
        widths[row[0]].append(row)
    walked = Backtest(members, horizons, losses, errors, str(facts["through"]), weights, widths)
    told = facts["vintages"]
    vintages = None if told is None else {source: tuple(times) for source, times in told.items()}
    return ForecastRecord(
        walked, tables["tallies"], tables["skill"], tables["coverage"], str(facts["digest"]), vintages
    )
