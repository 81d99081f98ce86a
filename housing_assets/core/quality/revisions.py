"""Measurements of what a new vintage changed against the one before it."""

from collections.abc import Mapping, Sequence

from housing_assets.core.catalogue import REVISIONS
from housing_assets.core.quality.measurement import Measurement

MEASURES: Mapping[str, frozenset[str]] = {REVISIONS: frozenset({"impossible_revisions", "unusual_revisions"})}
"""Measures taken of each asset."""


def measure_revision(source: str, refusal: str, warnings: Sequence[str]) -> list[Measurement]:
    """The measurements of the newest vintage of a source.

    Args:
        source: its kind, such as `zillow`.
        refusal: why the vintage is no revision of the one before it, empty if it is one.
        warnings: what is unusual about it, in words.
    """
    refusals = [refusal] if refusal else []
    return [
        Measurement("", source, "impossible_revisions", len(refusals), refusal),
        Measurement("", source, "unusual_revisions", len(warnings), " ".join(warnings)),
    ]
