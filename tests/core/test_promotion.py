"""Who becomes the champion, and what is said of it."""

import json
from dataclasses import replace

import pytest

from housing_assets.core.errors import HousingError
from housing_assets.core.promotion import MUST_BEAT, Evidence, ForecastEvidence, decide, decide_forecast

FIRST = Evidence(
    candidate="tuned-2",
    candidate_mae=40_000.4,
    champion=None,
    champion_mae=None,
    naive_mae={"train_median": 200_000.0, "metro_median": 150_000.0, "last_known_price": 10_000.0},
    coverage=0.9,
    coverage_rows=4_000,
    checks={"cleaned": "", "encoders": ""},
)
SECOND = replace(FIRST, champion="tuned-1", champion_mae=50_000.0)


def test_the_first_model_is_promoted_if_it_passes_the_rest():
    decision = decide(FIRST)
    assert decision.outcome == "promoted"
    assert decision.reason == (
        "the checks of cleaned, encoders vouch for their data; eval MAE 40,000 beats train_median 200,000 US dollars; "
        "eval MAE 40,000 beats metro_median 150,000 US dollars; coverage on eval is 90.0%, within 85% to 95%"
    )


def test_a_better_model_is_promoted():
    decision = decide(SECOND)
    assert decision.outcome == "promoted"
    assert "eval MAE 40,000 is at least 0.2% better than the champion's 50,000 US dollars" in decision.reason


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"champion_mae": 39_000.0}, "eval MAE 40,000 is not at least 0.2% better than the champion's 39,000"),
        ({"champion_mae": 40_050.0}, "is not at least 0.2% better than the champion's 40,050"),
        ({"champion_mae": 50_000.0, "margin": 0.25}, "is not at least 25.0% better"),
        ({"candidate_mae": 150_000.0}, "does not beat metro_median 150,000"),
        ({"candidate_mae": float("nan")}, "does not beat train_median"),
        ({"candidate_mae": float("inf")}, "does not beat train_median"),
        ({"coverage": 0.8499}, "coverage on eval is 85.0%, not in 85% to 95%"),
        ({"coverage": 0.96}, "coverage on eval is 96.0%, not in"),
        ({"coverage": None}, "coverage on eval was not measured"),
        ({"checks": {"cleaned": "cleaned is red for 2019-03", "encoders": ""}}, "cleaned is red for 2019-03"),
        ({"checks": {"cleaned": "a", "encoders": "b"}}, "a; b"),
        ({"bundle_problem": "golden rows differ"}, "golden rows differ"),
        ({"champion_problem": "the champion cannot be read"}, "the champion cannot be read"),
    ],
)
def test_a_candidate_that_fails_a_test_is_refused_with_the_figures(change, told):
    decision = decide(replace(SECOND, **change))
    assert decision.outcome == "refused"
    assert told in decision.reason


@pytest.mark.parametrize("name", MUST_BEAT)
def test_each_baseline_has_to_be_beaten(name):
    assert decide(replace(FIRST, naive_mae={**FIRST.naive_mae, name: 40_001.0})).outcome == "promoted"
    assert decide(replace(FIRST, naive_mae={**FIRST.naive_mae, name: 40_000.4})).outcome == "refused"
    assert decide(replace(FIRST, naive_mae={**FIRST.naive_mae, name: float("nan")})).outcome == "refused"


def test_coverage_of_a_few_rows_is_told_and_does_not_decide():
    decision = decide(replace(FIRST, coverage=0.8, coverage_rows=48))
    assert decision.outcome == "promoted"
    assert "coverage on eval is 80.0% of 48 rows, too few to judge by (fewer than 200)" in decision.reason
    assert decide(replace(FIRST, coverage=0.8, coverage_rows=200)).outcome == "refused"


def test_the_champion_itself_is_kept():
    decision = decide(replace(SECOND, champion="tuned-2"))
    assert decision.outcome == "kept"


def test_an_override_promotes_in_spite_of_failed_tests_and_is_recorded():
    evidence = replace(SECOND, candidate_mae=60_000.0, coverage=0.5, override="the market turned")
    decision = decide(evidence)
    assert decision.outcome == "promoted"
    assert decision.reason.startswith("manual override (the market turned) despite: coverage on eval is 50.0%")
    record = json.loads(json.dumps(decision.record(evidence)))
    assert record["evidence"]["override"] == "the market turned"
    assert [t["test"] for t in record["tests"] if not t["passed"]] == ["interval coverage", "beats the champion"]


def test_no_override_promotes_a_bundle_that_would_not_answer_as_it_was_evaluated():
    evidence = replace(SECOND, bundle_problem="the ONNX twin differs", override="do it")
    assert decide(evidence).outcome == "refused"


def test_a_champion_that_was_not_evaluated_is_an_error():
    with pytest.raises(HousingError, match="no eval error of the champion tuned-1: materialize model_evaluation"):
        decide(replace(SECOND, champion_mae=None))


def test_a_forecast_model_does_not_replace_a_champion_that_it_cannot_be_compared_with():
    evidence = ForecastEvidence(
        candidate="forecast-b",
        candidate_error=2.0,
        champion=None,
        champion_error=None,
        by_model=12,
        checks={"cleaned": ""},
        champion_problem="the forecast champion cannot be read (damaged)",
    )
    decision = decide_forecast(evidence)
    assert (decision.outcome, decision.reason) == ("refused", "the forecast champion cannot be read (damaged)")
    assert decide_forecast(replace(evidence, override="it is lost")).outcome == "promoted"
    assert decide_forecast(replace(evidence, champion_problem=None)).outcome == "promoted"
