"""Promotion: whether a candidate becomes the champion, as a pure decision with its reasons."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from housing_assets.core.errors import HousingError

MUST_BEAT: tuple[str, ...] = ("train_median", "metro_median")
"""Naive baselines that a same-month model has to beat. The zip's last known price is shown beside the
model but does not decide: such a model also serves zips that have no past price."""
COVERAGE_LIMITS = (0.85, 0.95)
"""Share of eval prices that the candidate's own rolling 90% intervals must contain."""
MIN_COVERAGE_ROWS = 200
"""Fewer rows say too little of coverage: at 200 its standard error is 2 percentage points."""
MARGIN = 0.002
"""Share of the champion's MAE that a candidate must be better by, so that noise does not swap models."""


@dataclass(frozen=True)
class Evidence:
    """What a decision rests on. All errors are of the same eval rows.

    Attributes:
        candidate: version.
        candidate_mae: US dollars.
        champion: version of the present champion; None before the first.
        champion_mae: US dollars; None without a champion.
        naive_mae: by naive baseline, US dollars.
        coverage: share of eval prices inside the candidate's own rolling intervals; None: not measured.
        coverage_rows: eval rows that the coverage was measured on.
        checks: what the candidate rests on, by asset: empty if its checks vouch for it, else what they say.
        bundle_problem: why the candidate's bundle cannot be trusted (golden rows, ONNX twin); None if it can.
        champion_problem: why the present champion cannot be compared with; None if it can, or there is none.
        margin: see `MARGIN`.
        override: why a person promotes it all the same; empty for none.
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
    margin: float = MARGIN
    override: str = ""


@dataclass(frozen=True)
class Decision:
    """Attributes:
    outcome: `promoted`, `kept` (the candidate is the champion already) or `refused`.
    reason: one sentence for people.
    tests: what was asked of the candidate: name, whether it passed, and the figures.
    """

    outcome: str
    reason: str
    tests: tuple[tuple[str, bool, str], ...] = field(default=())

    def record(self, evidence: "Evidence | ForecastEvidence") -> dict[str, Any]:
        """Decision and evidence as JSON-ready values."""
        tests = [{"test": name, "passed": passed, "figures": told} for name, passed, told in self.tests]
        numbers = {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(evidence).items()
        }
        return {"outcome": self.outcome, "reason": self.reason, "tests": tests, "evidence": numbers}


def decide(evidence: Evidence) -> Decision:
    """Promote a candidate if it passes every test; a manual override promotes it whatever the tests say.

    A bundle that cannot be trusted is refused even then: it would not answer as it was evaluated.
    """
    tests = tuple(_tests(evidence))
    if evidence.bundle_problem:
        return Decision("refused", evidence.bundle_problem, tests)
    return _decide(evidence, tests)


def _decide(evidence: "Evidence | ForecastEvidence", tests: tuple[tuple[str, bool, str], ...]) -> Decision:
    failed = [told for _, passed, told in tests if not passed]
    if evidence.candidate == evidence.champion:
        return Decision("kept", f"{evidence.candidate} is the champion already", tests)
    if evidence.override:
        despite = f" despite: {'; '.join(failed)}" if failed else ""
        return Decision("promoted", f"manual override ({evidence.override}){despite}", tests)
    if failed:
        return Decision("refused", "; ".join(failed), tests)
    return Decision("promoted", "; ".join(told for _, _, told in tests), tests)


@dataclass(frozen=True)
class ForecastEvidence:
    """What a decision on a forecast model rests on. Errors are of the same origins of eval.

    Attributes:
        candidate: version.
        candidate_error: mean absolute % error of what it would publish, geometric mean over horizons.
        champion: version of the model that forecasts now; None before the first.
        champion_error: the same of the champion; None without one.
        by_model: horizons at which the candidate beats every naive baseline.
        checks: what the candidate rests on, by asset: empty if its checks vouch for it, else what they say.
        champion_problem: why the present champion cannot be compared with; None if it can, or there is none.
        margin: see `MARGIN`.
        override: why a person promotes it all the same; empty for none.
    """

    candidate: str
    candidate_error: float
    champion: str | None
    champion_error: float | None
    by_model: int
    checks: Mapping[str, str]
    champion_problem: str | None = None
    margin: float = MARGIN
    override: str = ""


def decide_forecast(evidence: ForecastEvidence) -> Decision:
    """Whether a forecast model is the one that forecasts from now on.

    A model that beats no baseline is promoted all the same: it publishes the baselines, under their own names.
    """
    e = evidence
    told = f"eval error {e.candidate_error:.2f}%, by the model itself at {e.by_model} horizons"
    tests = [_data_checks(e.checks), ("is graded on eval", e.candidate_error > 0, told)]
    if e.champion_problem:
        tests.append(("beats the champion", False, e.champion_problem))
    elif e.champion_error is not None:
        limit = e.champion_error * (1 - e.margin)
        verb = "is" if e.candidate_error <= limit else "is not"
        told = f"{verb} at least {e.margin:.1%} better than the champion's {e.champion_error:.2f}%"
        tests.append(("beats the champion", e.candidate_error <= limit, told))
    return _decide(e, tuple(tests))


def _data_checks(checks: Mapping[str, str]) -> tuple[str, bool, str]:
    told = [problem for problem in checks.values() if problem]
    return "data checks", not told, "; ".join(told) or f"the checks of {', '.join(checks)} vouch for their data"


def _tests(e: Evidence) -> list[tuple[str, bool, str]]:
    tests = [_data_checks(e.checks)]
    for name in MUST_BEAT:
        mae = e.naive_mae[name]
        better = e.candidate_mae < mae
        verb = "beats" if better else "does not beat"
        tests.append((f"beats {name}", better, f"eval MAE {e.candidate_mae:,.0f} {verb} {name} {mae:,.0f} US dollars"))
    tests.append(("interval coverage", *_coverage_test(e)))
    if e.champion_problem:
        tests.append(("beats the champion", False, e.champion_problem))
    elif e.champion is not None and e.champion != e.candidate:
        if e.champion_mae is None:
            raise HousingError(f"no eval error of the champion {e.champion}: materialize model_evaluation again")
        limit = e.champion_mae * (1 - e.margin)
        better = e.candidate_mae <= limit
        verb = "is" if better else "is not"
        tests.append(
            (
                "beats the champion",
                better,
                f"eval MAE {e.candidate_mae:,.0f} {verb} at least {e.margin:.1%} better than the champion's "
                f"{e.champion_mae:,.0f} US dollars",
            )
        )
    return tests


def _coverage_test(e: Evidence) -> tuple[bool, str]:
    low, high = COVERAGE_LIMITS
    if e.coverage is None:
        return False, "coverage on eval was not measured: eval needs at least two months with prices"
    told = f"coverage on eval is {e.coverage:.1%}"
    if e.coverage_rows < MIN_COVERAGE_ROWS:
        return True, f"{told} of {e.coverage_rows} rows, too few to judge by (fewer than {MIN_COVERAGE_ROWS})"
    inside = low <= e.coverage <= high
    return inside, f"{told}, {'within' if inside else 'not in'} {low:.0%} to {high:.0%}"
