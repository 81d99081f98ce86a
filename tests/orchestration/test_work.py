"""What is to be done, told from the store alone: when models are due to be trained again."""

from dataclasses import replace

import pytest

from housing_assets.core.catalogue import MONTHLY, PREDICTED, RAW_SPLITS, TRAINING_JOB
from housing_assets.core.months import TimeSplit, add_months, month_range
from housing_assets.orchestration.work import Facts, Seen, training_digest, work_to_do
from housing_assets.store.verdicts import State, Verdict

SPLIT = TimeSplit("2020-01", "2022-01")
FIRST = "2016-01"


def ingested(last: str) -> Facts:
    """A store whose panel was ingested up to a month, and whose champion was trained on it."""
    months = month_range(FIRST, last)
    stamps = {month: f"file of {month}" for month in months}
    verdicts = {m: Verdict("cleaned", m, State.GREEN, stamp, 1) for m, stamp in stamps.items()}
    assets = {asset: Seen({}, {}) for asset in MONTHLY} | {
        RAW_SPLITS: Seen(stamps, verdicts),
        "cleaned": Seen(stamps, verdicts),
    }
    return Facts(
        months=months,
        refit_months=3,
        split=SPLIT,
        counted_from="",
        can_forecast=False,
        assets=assets,
        champion="tuned-1",
        forecaster=None,
        trained_on=training_digest(stamps, last, SPLIT, 3),
        versions={asset: {} for asset in PREDICTED},
        stale={asset: frozenset() for asset in PREDICTED},
    )


def is_trained_again(before: Facts, now: Facts) -> bool:
    return any(task.job == TRAINING_JOB for task in work_to_do(replace(now, trained_on=before.trained_on)))


@pytest.mark.parametrize(("more", "is_due"), [(0, False), (1, False), (2, False), (3, True), (6, True)])
def test_models_are_trained_again_when_a_refit_is_due(more, is_due):
    """The newest fit is before 2022-10, and the next one before 2023-01."""
    assert is_trained_again(ingested("2022-09"), ingested(add_months("2022-09", more))) == is_due


def test_a_refit_waits_for_a_month_that_its_checks_vouch_for():
    before, now = ingested("2022-09"), ingested("2022-12")
    seen = now.assets["cleaned"]
    stopped = {**seen.verdicts, "2022-12": replace(seen.verdicts["2022-12"], state=State.RED)}
    red = replace(now, assets={**now.assets, "cleaned": Seen(seen.stamps, stopped)})
    assert not is_trained_again(before, red)
    assert is_trained_again(before, now)


def test_another_pace_of_refits_has_models_trained_again():
    before = ingested("2022-09")
    assert is_trained_again(before, replace(before, refit_months=6))


def test_models_are_trained_again_when_a_month_before_the_holdout_changed():
    before = ingested("2022-09")
    for month, is_due in (("2019-05", True), ("2022-05", False)):
        assets = dict(before.assets)
        seen = assets["cleaned"]
        stamps = {**seen.stamps, month: "revised"}
        verdict = replace(seen.verdicts[month], stamp="revised")
        assets["cleaned"] = Seen(stamps, {**seen.verdicts, month: verdict})
        assert is_trained_again(before, replace(before, assets=assets)) == is_due
