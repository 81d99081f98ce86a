"""Who becomes the champion, and what is said of it."""

import json
from dataclasses import asdict, replace

import pytest

from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.promotion import (
    MUST_BEAT,
    Evidence,
    ForecastEvidence,
    Judged,
    decide,
    decide_forecast,
    months_to_compare,
)
from housing_assets.core.months import month_range

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
    assert decide(replace(SECOND, naive_mae={**FIRST.naive_mae, name: 40_001.0})).outcome == "promoted"
    assert decide(replace(SECOND, naive_mae={**FIRST.naive_mae, name: 40_000.4})).outcome == "refused"
    assert decide(replace(SECOND, naive_mae={**FIRST.naive_mae, name: float("nan")})).outcome == "refused"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"coverage": 0.8, "coverage_rows": 48}, "is 80.0% of 48 rows, too few to judge by (fewer than 200)"),
        ({"coverage": 0.8499}, "coverage on eval is 85.0%, not in 85% to 95%"),
        ({"coverage": 0.96}, "coverage on eval is 96.0%, not in 85% to 95%"),
    ],
)
def test_coverage_is_told_and_does_not_decide(change, told):
    decision = decide(replace(FIRST, **change))
    assert (decision.outcome, decision.provisional) == ("promoted", "")
    assert told in decision.reason


@pytest.mark.parametrize(("mae", "outcome"), [(40_000.0, "promoted"), (39_930.0, "promoted"), (39_900.0, "refused")])
def test_a_model_that_was_refitted_takes_over_unless_it_errs_more_by_the_margin(mae, outcome):
    decision = decide(replace(SECOND, is_later=True, champion_mae=mae))
    assert decision.outcome == outcome
    verb = "is" if outcome == "promoted" else "is not"
    assert f"{verb} fitted on later months and at most 0.2% worse than the champion's {mae:,.0f}" in decision.reason


@pytest.mark.parametrize(("is_later", "outcome"), [(True, "promoted"), (False, "refused")])
def test_a_refitted_forecast_model_takes_over_unless_it_errs_more_by_the_margin(is_later, outcome):
    evidence = ForecastEvidence("forecast-2", 2.0, "forecast-1", 2.0, 9, {"cleaned": ""}, is_later=is_later)
    assert decide_forecast(evidence).outcome == outcome


def test_a_refit_that_fails_its_own_tests_takes_no_provisional_place_unless_it_is_better():
    beaten = replace(SECOND, **BEATEN, champion_provisional="it did not beat metro_median", is_later=True)
    assert decide(replace(beaten, champion_mae=40_000.0)).outcome == "refused"
    assert decide(replace(beaten, champion_mae=41_000.0)).outcome == "promoted"


def test_what_a_candidate_publishes_is_in_the_reasons():
    told = "rows with a history get the number of momentum_3; intervals of rows with a history are widened by 1.30"
    assert told in decide(replace(SECOND, published=told)).reason


# ---------------------------------------------------------------- while there is no sound model

BEATEN = {"naive_mae": {**FIRST.naive_mae, "metro_median": 39_000.0}}


def test_with_no_champion_the_best_there_is_serves_and_is_marked_provisional():
    decision = decide(replace(FIRST, **BEATEN))
    assert (decision.outcome, decision.champion) == ("promoted", "tuned-2")
    assert decision.provisional == "tuned-2 did not pass: eval MAE 40,000 does not beat metro_median 39,000 US dollars"
    assert decision.reason.startswith("provisional, since no model serves yet and this is the best that there is: ")
    record = decision.record(replace(FIRST, **BEATEN))
    assert (record["champion"], record["provisional"]) == ("tuned-2", decision.provisional)


@pytest.mark.parametrize(
    ("mae", "serves"), [(39_500.0, "baseline-1"), (41_000.0, "tuned-2"), (float("nan"), "tuned-2")]
)
def test_the_best_may_be_another_model_than_the_candidate(mae, serves):
    assert decide(replace(FIRST, **BEATEN, others={"baseline-1": mae})).champion == serves
    assert decide(replace(FIRST, others={"baseline-1": 1.0})).champion == "tuned-2"


@pytest.mark.parametrize(
    "unsafe", [{"checks": {"cleaned": "cleaned is red for 2019-03"}}, {"bundle_problem": "golden"}]
)
def test_what_is_unsafe_serves_in_no_case(unsafe):
    for evidence in (replace(FIRST, **unsafe), replace(SECOND, **unsafe, champion_provisional="worse than a median")):
        decision = decide(evidence)
        assert (decision.outcome, decision.champion) == ("refused", "")


def test_a_sound_candidate_takes_the_place_of_a_provisional_champion():
    provisional = replace(SECOND, champion_mae=39_900.0, champion_provisional="it did not beat metro_median")
    decision = decide(provisional)
    assert (decision.outcome, decision.champion, decision.provisional) == ("promoted", "tuned-2", "")
    assert decision.reason.startswith("takes the place of the provisional tuned-1: ")
    again = decide(replace(provisional, champion="tuned-2"))
    assert (again.outcome, again.reason[:25]) == ("promoted", "is no longer provisional:")


def test_a_provisional_champion_gives_way_to_one_that_is_better_and_not_to_one_that_is_worse():
    provisional = replace(SECOND, **BEATEN, champion_provisional="it did not beat metro_median")
    better = decide(provisional)
    assert (better.outcome, better.champion) == ("promoted", "tuned-2")
    assert "does not beat metro_median" in better.provisional
    assert decide(replace(provisional, champion_mae=39_000.0)).outcome == "refused"
    assert decide(replace(provisional, champion="tuned-2")).outcome == "kept"


# ---------------------------------------------------------------- a champion that was judged otherwise

NOW = Judged(1, "2020-01", "2022-01")
EVAL = month_range("2020-01", "2021-12")


def test_models_judged_alike_are_compared_on_all_of_eval():
    assert NOW.differs(replace(NOW, max_list_price=5e6)) == ""
    assert months_to_compare(NOW, NOW, True, EVAL) == EVAL


def test_a_champion_of_another_split_is_compared_on_months_that_neither_has_seen():
    later = replace(NOW, eval_start="2021-01", holdout_start="2023-01")
    assert later.differs(NOW) == (
        "HOUSING_EVAL_START 2020-01 instead of 2021-01, HOUSING_HOLDOUT_START 2022-01 instead of 2023-01"
    )
    assert months_to_compare(NOW, later, True, EVAL) == month_range("2021-01", "2021-12")
    assert months_to_compare(NOW, replace(NOW, eval_start="2022-01"), True, EVAL) == []


def test_a_champion_of_another_lag_is_not_compared_unless_it_uses_no_history():
    assert months_to_compare(NOW, replace(NOW, publication_lag=2), True, EVAL) == []
    assert months_to_compare(NOW, replace(NOW, publication_lag=2), False, EVAL) == EVAL


def test_what_is_graded_anew_decides_and_is_told():
    anew = replace(SECOND, champion_judged="HOUSING_EVAL_START 2021-01 instead of 2020-01", compared_months=EVAL[12:])
    assert decide(replace(anew, compared_mae=60_000.0)).outcome == "refused"
    decision = decide(replace(anew, compared_mae=45_000.0))
    assert decision.outcome == "promoted"
    assert (
        "eval MAE 45,000 is at least 0.2% better than the champion's 50,000 US dollars on 2021-01 to 2021-12, since it "
        "was judged by HOUSING_EVAL_START 2021-01 instead of 2020-01"
    ) in decision.reason


def test_a_champion_that_cannot_be_compared_gives_way_to_a_sound_candidate_alone():
    other = replace(SECOND, champion_mae=None, champion_judged="HOUSING_PUBLICATION_LAG 2 instead of 1")
    decision = decide(other)
    assert (decision.outcome, decision.champion) == ("promoted", "tuned-2")
    assert "was judged by HOUSING_PUBLICATION_LAG 2 instead of 1 and cannot be compared" in decision.reason
    assert decide(replace(other, **BEATEN)).outcome == "refused"


@pytest.mark.parametrize("lag", [None, 3])
def test_a_bundle_of_before_tells_by_its_months_what_it_was_judged_by(lag):
    manifest = {"version": "tuned-1", "months": {"train": ["2012-03", "2019-12"], "eval": ["2020-01", "2021-12"]}}
    if lag:
        manifest["history"] = {"used": True, "publication_lag": lag}
    assert Judged.from_manifest(manifest) == replace(NOW, publication_lag=lag or 1)
    assert Judged.from_manifest({**manifest, "judged": {**asdict(NOW), "max_list_price": 5e6}}).max_list_price == 5e6
    with pytest.raises(HousingError, match="the manifest of tuned-1 names no eval months"):
        Judged.from_manifest({"version": "tuned-1"})


def test_the_champion_itself_is_kept():
    decision = decide(replace(SECOND, champion="tuned-2"))
    assert decision.outcome == "kept"


def test_an_override_promotes_in_spite_of_failed_tests_and_is_recorded():
    evidence = replace(SECOND, candidate_mae=60_000.0, coverage=0.5, override="the market turned")
    decision = decide(evidence)
    assert decision.outcome == "promoted"
    assert decision.reason.startswith("manual override (the market turned) despite: eval MAE 60,000 is not at least")
    record = json.loads(json.dumps(decision.record(evidence)))
    assert record["evidence"]["override"] == "the market turned"
    assert [t["test"] for t in record["tests"] if not t["passed"]] == ["beats the champion"]


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


def test_an_override_takes_the_mark_of_a_provisional_champion_off():
    known = replace(FIRST, champion=FIRST.candidate, champion_mae=FIRST.candidate_mae, champion_provisional="too wide")
    told = decide(replace(known, override="looked at by hand"))
    assert (told.outcome, told.champion, told.provisional) == ("promoted", FIRST.candidate, "")


def test_what_a_newer_version_says_beside_in_a_manifest_is_passed_over():
    assert Judged.from_manifest({"judged": asdict(NOW) | {"of_tomorrow": 1}}) == NOW
