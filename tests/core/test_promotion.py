"""Who becomes the champion, and what is said of it."""

import pytest

from housing_assets.core.promotion import MUST_BEAT, decide


def metrics(own: float, **naive: float) -> dict[str, dict[str, float]]:
    said = {"train_median": 200_000.0, "metro_median": 150_000.0, "last_known_price": 10_000.0} | naive
    return {"candidate": {"mae": own}} | {name: {"mae": mae} for name, mae in said.items()}


def test_a_candidate_that_beats_the_baselines_is_promoted_with_the_figures():
    decision = decide(metrics(40_000.4), "candidate")
    assert decision.promoted
    assert decision.reason == "eval MAE 40,000 US dollars beats train_median 200,000, metro_median 150,000"


@pytest.mark.parametrize(
    ("own", "lost"),
    [
        (150_000.0, "does not beat metro_median ("),
        (180_000.0, "does not beat metro_median ("),
        (250_000.0, "does not beat train_median and metro_median ("),
        (float("nan"), "does not beat train_median and metro_median ("),
        (float("inf"), "does not beat train_median and metro_median ("),
    ],
)
def test_a_candidate_that_does_not_is_refused_and_told_by_whom(own, lost):
    decision = decide(metrics(own), "candidate")
    assert not decision.promoted
    assert lost in decision.reason
    assert "train_median 200,000, metro_median 150,000" in decision.reason


@pytest.mark.parametrize("name", MUST_BEAT)
def test_each_baseline_has_to_be_beaten(name):
    assert decide(metrics(100.0, **{name: 100.01}), "candidate").promoted
    decision = decide(metrics(100.0, **{name: 100.0}), "candidate")
    assert not decision.promoted
    assert f"does not beat {name} (" in decision.reason


def test_a_baseline_without_a_figure_is_not_beaten():
    assert not decide(metrics(100.0, metro_median=float("nan")), "candidate").promoted


def test_the_last_known_price_does_not_decide():
    assert decide(metrics(40_000.0, last_known_price=1.0), "candidate").promoted
