"""What a model was judged by, without the libraries that judging takes: settings import it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from housing_assets.core.errors import HousingError
from housing_assets.core.months import add_months


@dataclass(frozen=True)
class Judged:
    """What a model was judged by: figures of two models compare where these agree.

    Attributes:
        publication_lag: months from the last price that is known to the month predicted.
        eval_start, holdout_start: of the time split.
        max_list_price: US dollars: rows with a higher `median_list_price` took no part; None: not recorded.
    """

    publication_lag: int
    eval_start: str
    holdout_start: str
    max_list_price: float | None = None

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Judged":
        """Read a bundle's manifest; of one from before this was recorded, what its months and lag say.

        Raises:
            HousingError: it tells neither.
        """
        if recorded := manifest.get("judged"):
            names = {f.name for f in fields(cls)}
            return cls(**{name: value for name, value in recorded.items() if name in names})
        try:
            first, last = manifest["months"]["eval"]
            return cls(manifest.get("history", {}).get("publication_lag", 1), first, add_months(last, 1))
        except (KeyError, ValueError) as error:
            raise HousingError(
                f"the manifest of {manifest.get('version')} names no eval months: train again"
            ) from error

    def differs(self, other: "Judged") -> str:
        """Where two differ, in words; empty if they agree."""
        pairs = (
            ("HOUSING_PUBLICATION_LAG", self.publication_lag, other.publication_lag),
            ("HOUSING_EVAL_START", self.eval_start, other.eval_start),
            ("HOUSING_HOLDOUT_START", self.holdout_start, other.holdout_start),
        )
        return ", ".join(f"{name} {theirs} instead of {ours}" for name, ours, theirs in pairs if ours != theirs)
