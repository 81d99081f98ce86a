"""Promotion: whether a candidate becomes the champion, as a pure decision with its reasons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.judged import Judged
from housing_assets.core.models.publication import MIN_COVERAGE_ROWS
from housing_assets.core.months import describe_months

MUST_BEAT: tuple[str, ...] = ("train_median", "metro_median")
"""Naive baselines that a same-month model has to beat. The zip's last known price is shown beside the
model but does not decide: such a model also serves zips that have no past price."""
COVERAGE_LIMITS = (0.85, 0.95)
"""Share of eval prices that the candidate's own rolling 90% intervals contain, if they are neither narrow nor wide."""
MARGIN = 0.002
"""Share of the champion's MAE that a candidate must be better by, so that noise does not swap models. One that was
fitted on later months may be worse by it."""


def months_to_compare(candidate: Judged, champion: Judged, lag_matters: bool, months: Sequence[str]) -> list[str]:
    """Months of the candidate's eval whose figures of both models may be held against each other.

    A champion was fitted on every month before its own eval: there it would be graded on what it has seen. One that
    predicts from prices known at another lag is graded on other knowledge, whatever the month.

    Args:
        candidate, champion: what each was judged by.
        lag_matters: does the champion use a history?
        months: of the candidate's eval.
    """
    if lag_matters and candidate.publication_lag != champion.publication_lag:
        return []
    return [month for month in months if month >= champion.eval_start]


@dataclass(frozen=True)
class Evidence:
    """What a decision rests on. All errors are of the same eval rows.

    Attributes:
        candidate: version.
        candidate_mae: US dollars.
        champion: version of the present champion; None before the first.
        champion_mae: US dollars; None without a champion.
        naive_mae: by naive baseline, US dollars.
        coverage: share of eval prices inside the candidate's own rolling intervals, widened if it widens them; None:
            not measured.
        coverage_rows: eval rows that the coverage was measured on.
        checks: what the candidate rests on, by asset: empty if its checks vouch for it, else what they say.
        bundle_problem: why the candidate's bundle cannot be trusted (golden rows, ONNX twin); None if it can.
        champion_problem: why the present champion cannot be compared with; None if it can, or there is none.
        champion_provisional: why the present champion serves for want of a better one; empty if it is sound.
        champion_judged: how the champion was judged otherwise than the candidate, in words; empty if it was not.
        compared_months: where it was: the months that both are graded on anew; empty: there are none.
        compared_mae: the candidate's on these months, US dollars; `champion_mae` is of the same.
        is_later: True if the candidate's newest fit of growth knows later months than the champion's.
        others: eval MAE of other models that may serve while there is no sound one, by version.
        published: what the candidate publishes other than its own numbers as measured, in words; empty: nothing.
        margin: see `MARGIN`.
        override: why a person promotes it all the same; empty for none.
        judged: what the candidate was judged by, with the time split in months; None: not recorded.
    """

    candidate: str
    candidate_mae: float
    champion: str | None
    champion_mae: float | None
    naive_mae: Mapping[str, float]
    coverage: float | None
    coverage_rows: int
    checks: Mapping[str, str]
    bundle_problem: str | None = None
    champion_problem: str | None = None
    champion_provisional: str = ""
    champion_judged: str = ""
    compared_months: Sequence[str] = ()
    compared_mae: float | None = None
    is_later: bool = False
    others: Mapping[str, float] = field(default_factory=dict)
    published: str = ""
    margin: float = MARGIN
    override: str = ""
    judged: Judged | None = None


@dataclass(frozen=True)
class Decision:
    """Attributes:
    outcome: `promoted`, `kept` (the candidate is the champion already) or `refused`.
    reason: one sentence for people.
    tests: what was asked of the candidate: name, whether it passed, and the figures.
    champion: version that serves from now on; empty: what served before, or none.
    provisional: why it serves for want of a better one; empty if it is sound.
    """

    outcome: str
    reason: str
    tests: tuple[tuple[str, bool, str], ...] = field(default=())
    champion: str = ""
    provisional: str = ""

    def record(self, evidence: "Evidence | ForecastEvidence") -> dict[str, Any]:
        """Decision and evidence as JSON-ready values."""
        tests = [{"test": name, "passed": passed, "figures": content} for name, passed, content in self.tests]
        numbers = {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(evidence).items()
        }
        content = {"outcome": self.outcome, "reason": self.reason, "tests": tests, "evidence": numbers}
        return content | ({"champion": self.champion, "provisional": self.provisional} if self.provisional else {})


def decide(evidence: Evidence) -> Decision:
    """Promote a candidate if it passes every test; a manual override promotes it whatever the tests say.

    While no sound model serves, the best that there is serves all the same, provisionally, and the first sound
    candidate takes its place. What is unsafe serves in no case: a candidate whose data its checks do not vouch for, or,
    even with an override, a bundle that would not answer as it was evaluated.
    """
    tests = tuple(_tests(evidence))
    if evidence.bundle_problem:
        return Decision("refused", evidence.bundle_problem, tests)
    if not evidence.override and not evidence.champion_problem and not any(evidence.checks.values()):
        if evidence.champion is None:
            return _first(evidence, tests)
        if evidence.champion_provisional:
            return _after_provisional(evidence)
    return _decide(evidence, tests)


def _first(e: Evidence, tests: tuple[tuple[str, bool, str], ...]) -> Decision:
    """With no champion yet: the candidate, or provisionally the best that there is."""
    failed = _failed(tests)
    if not failed:
        return _decide(e, tests)
    maes = {e.candidate: e.candidate_mae, **e.others}
    best = min(maes, key=lambda version: maes[version] if maes[version] == maes[version] else float("inf"))
    why = f"{e.candidate} did not pass: {'; '.join(failed)}"
    if best != e.candidate:
        why += f". {best} errs less, eval MAE {maes[best]:,.0f} US dollars"
    reason = f"provisional, since no model serves yet and this is the best that there is: {why}"
    return Decision("promoted", reason, tests, best, why)


def _after_provisional(e: Evidence) -> Decision:
    """A sound candidate replaces a provisional champion; one that is not, only if it is better by the margin, also
    where it is a refit."""
    tests = tuple(_tests(replace(e, is_later=False)))
    own = [test for test in tests if test[0] != _BEATS_CHAMPION]
    failed = _failed(own)
    if not failed:
        reason = "; ".join(reason for _, _, reason in own)
        verb = "is no longer" if e.candidate == e.champion else "takes the place of"
        what = "provisional" if e.candidate == e.champion else f"the provisional {e.champion}"
        return Decision("promoted", f"{verb} {what}: {reason}", tests, e.candidate)
    if e.candidate == e.champion:
        reason = f"{e.candidate} is the champion already, and still provisional: {'; '.join(failed)}"
        return Decision("kept", reason, tests)
    if all(passed for name, passed, _ in tests if name == _BEATS_CHAMPION):
        return Decision(
            "promoted",
            f"provisional, better than {e.champion}: {'; '.join(failed)}",
            tests,
            e.candidate,
            "; ".join(failed),
        )
    return _decide(e, tests)


def _failed(tests: Iterable[tuple[str, bool, str]]) -> list[str]:
    return [figures for _, passed, figures in tests if not passed]


def _decide(evidence: "Evidence | ForecastEvidence", tests: tuple[tuple[str, bool, str], ...]) -> Decision:
    failed = _failed(tests)
    is_provisional = isinstance(evidence, Evidence) and bool(evidence.champion_provisional)
    if evidence.candidate == evidence.champion and not (is_provisional and evidence.override):
        return Decision("kept", f"{evidence.candidate} is the champion already", tests)
    if evidence.override:
        despite = f" despite: {'; '.join(failed)}" if failed else ""
        return Decision("promoted", f"manual override ({evidence.override}){despite}", tests, evidence.candidate)
    if failed:
        return Decision("refused", "; ".join(failed), tests)
    return Decision("promoted", "; ".join(figures for _, _, figures in tests), tests, evidence.candidate)


@dataclass(frozen=True)
class ForecastEvidence:
    """What a decision on a forecast model rests on. Errors are of the same origins of eval.

    Attributes:
        candidate: version.
        candidate_error: mean absolute % error of what it would publish, geometric mean over horizons.
        champion: version of the model that forecasts now; None before the first.
        champion_error: the same of the champion; None without one.
        by_model: horizons at which no naive forecaster turned out better than the candidate.
        checks: what the candidate rests on, by asset: empty if its checks vouch for it, else what they say.
        champion_problem: why the present champion cannot be compared with; None if it can, or there is none.
        is_later: True if the candidate was fitted on later months than the champion.
        margin: see `MARGIN`.
        override: why a person promotes it all the same; empty for none.
        judged: what both were graded by, with the time split in months; None: not recorded.
    """

    candidate: str
    candidate_error: float
    champion: str | None
    champion_error: float | None
    by_model: int
    checks: Mapping[str, str]
    champion_problem: str | None = None
    is_later: bool = False
    margin: float = MARGIN
    override: str = ""
    judged: Judged | None = None


def decide_forecast(evidence: ForecastEvidence) -> Decision:
    """Whether a forecast model is the one that forecasts from now on.

    A model that beats no naive forecaster is promoted all the same: it weighs them too, by how they did lately.
    """
    e = evidence
    figures = f"eval error {e.candidate_error:.2f}%, better than every naive forecaster at {e.by_model} horizons"
    tests = [_data_checks(e.checks), ("is graded on eval", e.candidate_error > 0, figures)]
    if e.champion_problem:
        tests.append(("beats the champion", False, e.champion_problem))
    elif e.champion_error is not None:
        better, than = _better_than_champion(e.candidate_error, e.champion_error, e)
        figures = f"{'is' if better else 'is not'} {than} the champion's {e.champion_error:.2f}%"
        tests.append(("beats the champion", better, figures))
    return _decide(e, tuple(tests))


def _data_checks(checks: Mapping[str, str]) -> tuple[str, bool, str]:
    broken = [problem for problem in checks.values() if problem]
    return (
        "data checks",
        not broken,
        "; ".join(broken) or f"the checks of {', '.join(checks)} vouch for their data",
    )


def _tests(e: Evidence) -> list[tuple[str, bool, str]]:
    tests = [_data_checks(e.checks)]
    for name in MUST_BEAT:
        mae = e.naive_mae[name]
        better = e.candidate_mae < mae
        verb = "beats" if better else "does not beat"
        tests.append((f"beats {name}", better, f"eval MAE {e.candidate_mae:,.0f} {verb} {name} {mae:,.0f} US dollars"))
    if e.published:
        tests.append(("what it publishes", True, e.published))
    tests.append(("interval coverage", *_coverage_test(e)))
    if e.champion_problem:
        tests.append((_BEATS_CHAMPION, False, e.champion_problem))
    elif e.champion is not None and e.champion != e.candidate:
        tests.append((_BEATS_CHAMPION, *_champion_test(e)))
    return tests


_BEATS_CHAMPION = "beats the champion"


def _champion_test(e: Evidence) -> tuple[bool, str]:
    if e.champion_judged and not e.compared_months:
        return True, (
            f"the champion {e.champion} was judged by {e.champion_judged} and cannot be compared: the candidate, which "
            "was judged by the settings of now, is taken by its own figures"
        )
    mae = e.candidate_mae if e.compared_mae is None else e.compared_mae
    if e.champion_mae is None:
        raise HousingError(f"no eval error of the champion {e.champion}: materialize model_evaluation again")
    better, than = _better_than_champion(mae, e.champion_mae, e)
    anew = ""
    if e.champion_judged:
        anew = f" on {describe_months(list(e.compared_months))}, since it was judged by {e.champion_judged}"
    return better, (
        f"eval MAE {mae:,.0f} {'is' if better else 'is not'} {than} the champion's {e.champion_mae:,.0f} US "
        f"dollars{anew}"
    )


def _better_than_champion(error: float, champions: float, e: "Evidence | ForecastEvidence") -> tuple[bool, str]:
    """Whether a candidate's error lets it take over, and what it has to be, in words.

    A refit knows more of the present: it takes over unless it turns out worse on the past.
    """
    if e.is_later:
        return error <= champions * (1 + e.margin), f"fitted on later months and at most {e.margin:.1%} worse than"
    return error <= champions * (1 - e.margin), f"at least {e.margin:.1%} better than"


def _coverage_test(e: Evidence) -> tuple[bool, str]:
    """Coverage is told and decides nothing: intervals that miss are widened, and wide ones do no harm."""
    low, high = COVERAGE_LIMITS
    if e.coverage is None:
        return False, "coverage on eval was not measured: eval needs at least two months with prices"
    figures = f"coverage on eval is {e.coverage:.1%}"
    if e.coverage_rows < MIN_COVERAGE_ROWS:
        return True, f"{figures} of {e.coverage_rows} rows, too few to judge by (fewer than {MIN_COVERAGE_ROWS})"
    inside = low <= e.coverage <= high
    return True, f"{figures}, {'within' if inside else 'not in'} {low:.0%} to {high:.0%}"
