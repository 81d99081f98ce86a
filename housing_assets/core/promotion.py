"""Promotion: a pure decision with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass

MUST_BEAT: tuple[str, ...] = ("train_median", "metro_median")
"""Naive baselines that a same-month model has to beat. The zip's last known price is shown beside the
model but does not decide: such a model also serves zips that have no past price."""


@dataclass(frozen=True)
class Decision:
    """Whether a candidate becomes the champion, and why."""

    promoted: bool
    reason: str


def decide(metrics: Mapping[str, Mapping[str, float]], candidate: str) -> Decision:
    """Compare a candidate with the naive baselines on the same eval rows, by mean absolute error.

    Args:
        metrics: for each predictor its figures on eval, at least `mae` (US dollars).
        candidate: the candidate's name in `metrics`.
    """
    own = metrics[candidate]["mae"]
    told = ", ".join(f"{name} {metrics[name]['mae']:,.0f}" for name in MUST_BEAT)
    lost = [name for name in MUST_BEAT if not own < metrics[name]["mae"]]
    if lost:
        return Decision(False, f"eval MAE {own:,.0f} US dollars does not beat {' and '.join(lost)} ({told})")
    return Decision(True, f"eval MAE {own:,.0f} US dollars beats {told}")
