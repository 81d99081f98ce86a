"""Rolling-origin folds of the training months."""

from dataclasses import dataclass

from housing_assets.core.errors import HousingError
from housing_assets.core.months import month_range

_VALIDATION_MONTHS = 24
"""As long as eval: the error that counts is that of a model up to two years old."""

_LEAST_TRAIN_MONTHS = 12


@dataclass(frozen=True)
class Fold:
    """Train on `train` months, validate on `validation` months, which come right after."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def rolling_folds(first: str, last: str, count: int) -> list[Fold]:
    """Rolling origins over months `first` to `last`, newest first: expanding train, then 24 validation months.

    A panel too short for whole years gets shorter validation windows.

    Raises:
        HousingError: fewer months than folds can be made of.
    """
    months = month_range(first, last)
    window = min(_VALIDATION_MONTHS, max((len(months) - _LEAST_TRAIN_MONTHS) // count, len(months) // (count + 1)))
    if window < 1:
        raise HousingError(
            f"tuning: {len(months)} train months ({first} to {last}) cannot make {count} folds: "
            "set HOUSING_EVAL_START later, or ask for fewer folds"
        )
    folds = []
    for back in range(count):
        end = len(months) - back * window
        folds.append(Fold(tuple(months[: end - window]), tuple(months[end - window : end])))
    return folds
