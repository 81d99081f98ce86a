"""The environment, read once into one frozen object."""

import shlex
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from housing_assets.config.environment import read_environment
from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.judged import Judged
from housing_assets.core.limits import DEFAULT_STORE_URI, LONGEST_HORIZON, MAX_TRIALS, MOST_ZIPS
from housing_assets.core.months import (
    PANEL_END,
    PANEL_START,
    Split,
    TimeSplit,
    add_months,
    counts_back,
    cut_off_month,
    month_of,
    month_range,
    parse_cut_off,
    parse_month,
    resolve_split,
)


class Settings(BaseSettings):
    """Everything that may be set from outside. Each field is the variable `HOUSING_<NAME>`, but for MLflow's own."""

    model_config = SettingsConfigDict(
        env_prefix="HOUSING_", env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    source_uri: str = Field(
        "",
        description="Sources, separated by spaces: each a file, folder, s3:// or https:// address, or the word zillow "
        "or redfin; empty: a generated sample",
    )
    as_of: str = Field("", description="Day YYYY-MM-DD: the panel as it was known then; empty: the newest vintages")
    zillow_url: str = Field("", description="What the word zillow stands for; empty: Zillow's current address")
    redfin_url: str = Field("", description="What the word redfin stands for; empty: Redfin's current address")
    store_uri: str = Field(DEFAULT_STORE_URI, description="Where assets live: a folder or s3://bucket/prefix")
    eval_start: str = Field(
        "2020-01",
        description="First month of eval; every earlier month is train. A month, or a negative number of months: with "
        "-36, eval and holdout are the 36 newest months of the panel",
    )
    holdout_start: str = Field(
        "2022-01",
        description="First month of holdout. A month, or a negative number of months: with -12, holdout is the 12 "
        "newest months of the panel",
    )
    panel_start: str = Field(
        PANEL_START,
        description="First monthly partition; empty: the source's first month from 2000-01 on (sample: 2012-03)",
    )
    panel_end: str = Field(
        "", description="Last monthly partition; empty: the sample's last month, or the last complete month"
    )
    tune_trials: int = Field(
        15, ge=0, le=MAX_TRIALS, description="Optuna trials of `tuned_model`; 0: no search, the last hyperparameters"
    )
    train_engine: Literal["local", "dask"] = Field(
        "local", description="Where trees are fitted: here, or on Dask workers"
    )
    dask_address: str = Field(
        "", description="Dask scheduler, `tcp://HOST:PORT`; empty: a cluster of this machine's cores for each training"
    )
    study_storage: str = Field(
        "sqlite:///data/optuna/studies.db", description="SQLAlchemy URL of the tuning studies: a database of its own"
    )
    mlflow_tracking_uri: str = Field(
        "sqlite:///data/mlflow/mlflow.db", validation_alias="MLFLOW_TRACKING_URI", description="Experiment tracking"
    )
    publication_lag: int = Field(
        1, ge=1, le=LONGEST_HORIZON, description="Months from the last price that is known to the month predicted"
    )
    refit_months: int = Field(
        3, ge=1, le=12, description="Months between fits of the forecasters from eval on: each on what was known"
    )
    sample_zips: int = Field(240, ge=1, le=MOST_ZIPS, description="Zips of the generated sample")
    max_list_price: float = Field(
        19_000_000, gt=0, description="US dollars: rows with a higher median_list_price are quarantined"
    )

    source_seconds: int = Field(300, ge=1, description="Seconds between looks of `source_sensor` at the source")
    follow_seconds: int = Field(
        30, ge=1, description="Seconds between looks of the sensors that follow one job with the next"
    )
    accept_restated: str = Field(
        "", description="Why a vintage that cannot be a revision of the one before it is accepted; empty: it is refused"
    )
    webhook_url: SecretStr = Field(
        SecretStr(""), description="Where `failure_notices` posts failed runs as JSON; empty: nowhere"
    )

    _newest_month: str = PrivateAttr("")
    _first_predicted: str = PrivateAttr("")
    _split_problem: str = PrivateAttr("")

    @field_validator("study_storage")
    @classmethod
    def _database(cls, value: str) -> str:
        if "://" not in value:
            raise ValueError("write an SQLAlchemy URL, such as sqlite:///data/optuna/studies.db")
        return value

    @field_validator("webhook_url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("write an address that begins with https://")
        return value

    @field_validator("eval_start", "holdout_start")
    @classmethod
    def _cut_off(cls, value: str) -> str:
        try:
            return parse_cut_off(value)
        except HousingError as error:
            raise ValueError(str(error)) from error

    @field_validator("panel_start", "panel_end")
    @classmethod
    def _month(cls, value: str) -> str:
        try:
            return parse_month(value) if value else value
        except HousingError as error:
            raise ValueError(str(error)) from error

    @field_validator("as_of")
    @classmethod
    def _day(cls, value: str) -> str:
        try:
            return value and date.fromisoformat(value).isoformat()
        except ValueError as error:
            raise ValueError("write a day as YYYY-MM-DD, such as 2026-11-30") from error

    @field_validator("source_uri")
    @classmethod
    def _quoted(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            if not Path(value).exists():
                raise ValueError(f"{error}: quote an address that has a space, as in a shell") from error
        return value

    @model_validator(mode="after")
    def _order(self) -> "Settings":
        """Refuse cut-offs that leave a split without months. Those that count back from a source are seen once it was
        read, but for their order."""
        relative = [counts_back(cut_off) for cut_off in (self.eval_start, self.holdout_start)]
        try:
            if self.newest_month or not any(relative):
                self.split  # noqa: B018  # raises
            elif all(relative) and not int(self.eval_start) < int(self.holdout_start):
                raise HousingError(
                    f"HOUSING_EVAL_START={self.eval_start} must come before HOUSING_HOLDOUT_START="
                    f"{self.holdout_start}: set them so that both splits have months"
                )
        except HousingError as error:
            raise ValueError(str(error)) from error
        if not relative[0] and not self.panel_start < self.eval_start:
            raise ValueError(
                f"HOUSING_PANEL_START={self.panel_start} must come before HOUSING_EVAL_START={self.eval_start}: "
                "set it earlier, so that train has months"
            )
        if not relative[1] and self.last_month < self.holdout_start:
            raise ValueError(
                f"the last month {self.last_month} comes before HOUSING_HOLDOUT_START={self.holdout_start}: "
                "set HOUSING_PANEL_END later, or the cut-offs earlier"
            )
        return self

    @property
    def uses_sample(self) -> bool:
        """True if the source is the generated, synthetic panel."""
        return not self.source_uri

    @property
    def addresses(self) -> tuple[str, ...]:
        """The sources one by one; none for the sample. A path that is there is one address, spaces and all."""
        is_path = bool(self.source_uri) and "://" not in self.source_uri and Path(self.source_uri).exists()
        return (self.source_uri,) if is_path else tuple(shlex.split(self.source_uri))

    @property
    def as_of_day(self) -> date | None:
        """HOUSING_AS_OF as a day; None for the newest vintages."""
        return date.fromisoformat(self.as_of) if self.as_of else None

    @property
    def source_label(self) -> str:
        """What the panel comes from, for people; months of one label are held against each other."""
        return self.source_uri or f"synthetic sample of {self.sample_zips} zips"

    @property
    def last_month(self) -> str:
        """Last month that exists as a partition."""
        if self.panel_end:
            return self.panel_end
        return PANEL_END if self.uses_sample else add_months(month_of(date.today()), -1)

    @property
    def months(self) -> list[str]:
        """Every month of the panel."""
        return month_range(self.panel_start, self.last_month)

    @property
    def newest_month(self) -> str:
        """The newest month of the panel, which cut-offs count from; empty while it is not known.

        That of the sample follows from the settings. That of a source is in the store, see
        `housing_assets.ingestion.panel_split`.
        """
        return self._newest_month or (self.last_month if self.uses_sample else "")

    @property
    def moves(self) -> bool:
        """True if the time split moves with the newest month of the panel."""
        return counts_back(self.eval_start) or counts_back(self.holdout_start)

    @property
    def split(self) -> TimeSplit:
        """The time split, in months.

        Raises:
            UnknownPanelError: it counts from the newest month of the panel, which is not known yet.
            HousingError: the panel has too few months for it.
        """
        if self._split_problem:
            return TimeSplit(add_months(self.panel_start, 1), add_months(self.panel_start, 2))
        return resolve_split(self.eval_start, self.holdout_start, self.panel_start, self.newest_month)

    @property
    def split_problem(self) -> str:
        """Why `split` is a placeholder; empty if it is not."""
        return self._split_problem

    @property
    def eval_month(self) -> str:
        """First month of eval, wherever the panel begins; empty while it is not known."""
        if counts_back(self.eval_start) and not self.newest_month:
            return ""
        return cut_off_month(self.eval_start, self.newest_month)

    @property
    def predictions_start(self) -> str:
        """First month that may have predictions and forecasts: that of holdout, or an earlier one that has some."""
        start = self.split.holdout_start
        return max(self.panel_start, min(start, self._first_predicted or start))

    @property
    def judged(self) -> Judged:
        """What a model that is trained now is judged by."""
        split = self.split
        return Judged(self.publication_lag, split.eval_start, split.holdout_start, self.max_list_price)

    def with_newest_month(self, month: str) -> "Settings":
        """The same settings where `month` is the newest of the panel."""
        known = self.model_copy()
        known._newest_month, known._split_problem = month, ""
        return known

    def with_first_predicted(self, month: str) -> "Settings":
        """The same settings where `month` is the first that was ever predicted; empty: none was."""
        known = self.model_copy()
        known._first_predicted = month
        return known

    def with_placeholder(self, problem: str) -> "Settings":
        """The same settings with the earliest split that there may be, for definitions that are loaded before the real
        one is known. Nothing that rests on a split may be made by these.

        Args:
            problem: why the split is not known, and what to do.
        """
        known = self.model_copy()
        known._split_problem = problem
        return known

    def split_months(self, split: Split) -> list[str]:
        """The panel's months of one split."""
        return self.split.months(split, self.panel_start, self.last_month)

    @property
    def can_forecast(self) -> bool:
        """True if there are enough months before eval for a forecast model."""
        # Imported here, since it brings Polars, which settings are read without.
        from housing_assets.core.models.combination import LEAST_FORECAST_MONTHS

        return len(self.split_months(Split.TRAIN)) >= LEAST_FORECAST_MONTHS

    @property
    def sample_path(self) -> Path:
        """Where the generated sample is kept: one file for each size."""
        return Path("data/source") / f"synthetic-{self.sample_zips}-zips-{self.panel_start}-{self.last_month}.csv"


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        HousingError: a value makes no sense; the message names its variable.
    """
    return read_environment(Settings)
