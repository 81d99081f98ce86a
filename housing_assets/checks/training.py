"""Blocking checks of what training rests on."""

import dagster as dg
import polars as pl

from housing_assets.core.quality import encoder_problems, training_feature_problems
from housing_assets.settings import Settings


def training_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Checks of `encoders` and `training_features`."""

    @dg.asset_check(asset="encoders", blocking=True, description="Finite encodings, each value once, unseen defined")
    def encodings_are_sound(encoders: pl.DataFrame) -> dg.AssetCheckResult:
        return _result(encoder_problems(encoders), encoders.height)

    @dg.asset_check(
        asset="training_features",
        blocking=True,
        description="The feature contract to the letter, a price in every row, nothing of the holdout",
    )
    def matrix_is_sound(training_features: pl.DataFrame) -> dg.AssetCheckResult:
        return _result(training_feature_problems(training_features, settings.holdout_start), training_features.height)

    return [encodings_are_sound, matrix_is_sound]


def _result(problems: list[str], rows: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not problems, description="\n".join(problems) or "sound", metadata={"rows checked": rows}
    )
