"""Gates: what rests on what, in one table, and whether it may be used.

Assets and promotion ask before they make an output, the API and the command line before they give one out. What the
answer rests on are verdicts, see `housing_assets.store.verdicts`: of data that is red, unchecked, or newer than its
check nothing is made and nothing is given out.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from housing_assets.core.catalogue import (
    ASSETS,
    CHAMPION_MODEL,
    INTERVAL_CALIBRATION,
    MONTHLY_FORECASTS,
    MONTHLY_PREDICTIONS,
    PRICE_HISTORY,
)
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import PASSING, State, data_stamps, read_verdicts, require_sound, state_of, unsound

RESTS_ON: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{key: asset.rests_on for key, asset in ASSETS.items() if asset.rests_on},
        "housing predict": (CHAMPION_MODEL, PRICE_HISTORY, INTERVAL_CALIBRATION),
        "GET /predictions": (MONTHLY_PREDICTIONS,),
        "GET /forecasts": (MONTHLY_FORECASTS,),
        "GET /history": (PRICE_HISTORY,),
        "POST /predict": (PRICE_HISTORY, INTERVAL_CALIBRATION),
    }
)
"""Every output, and the assets that have to be sound for it. The API verifies the champion's bundle by itself, and
a model that is promoted by hand is verified then."""


def problems(store: Store, output: str, months: Mapping[str, Iterable[str]] | None = None) -> dict[str, str]:
    """What keeps an output from being made or given out.

    Args:
        store: that it rests on.
        output: a key of `RESTS_ON`.
        months: of each monthly asset that it rests on, those it needs. An asset that is not named here is asked as a
            whole, as one without months is.

    Returns:
        For each asset that it rests on, what its checks have against it, in words; empty if nothing.

    Raises:
        KeyError: there is no such output, or it does not rest on an asset of `months`.
    """
    required = {asset: list((months or {}).get(asset, ("",))) for asset in _inputs(output, months)}
    return {asset: unsound(store, asset, of) for asset, of in required.items()}


def require(store: Store, output: str, months: Mapping[str, Iterable[str]] | None = None) -> None:
    """Refuse to make or give out an output; arguments as of `problems`.

    Raises:
        UnsoundError: what it rests on is red, was never checked, or was written after its check.
        KeyError: as of `problems`.
    """
    for asset in _inputs(output, months):
        require_sound(store, asset, (months or {}).get(asset, ("",)))


def _inputs(output: str, months: Mapping[str, Iterable[str]] | None) -> tuple[str, ...]:
    inputs = RESTS_ON[output]
    if unknown := set(months or ()) - set(inputs):
        raise KeyError(
            f"{output} does not rest on {', '.join(sorted(unknown))}: add it to RESTS_ON, for an asset to its "
            "description in housing_assets.core.catalogue"
        )
    return inputs


class Gate:
    """One asset as it is now, for who gives it out: its months, of which only the sound ones may be, or all of it.

    The files are listed once, a verdict is read when its month is asked about.
    """

    def __init__(self, store: Store, output: str, asset: str) -> None:
        """List the files of `asset`, which `output` rests on.

        Raises:
            KeyError: there is no such output in `RESTS_ON`, or it does not rest on the asset.
            StoreError: the store cannot be read.
        """
        _inputs(output, {asset: ()})
        self.store, self.asset = store, asset
        self.stamps = dict(sorted(data_stamps(store, asset).items()))

    @property
    def months(self) -> list[str]:
        """The months of the asset that have a file, in order."""
        return [month for month in self.stamps if month]

    def state(self, month: str = "") -> State:
        """The state of a month, or of an asset without months as a whole."""
        return state_of(read_verdicts(self.store, self.asset, [month]).get(month), self.stamps.get(month))

    def newest(self) -> str | None:
        """The newest sound month; None if there is none."""
        return next((month for month in reversed(self.months) if self.state(month) in PASSING), None)

    def problem(self, month: str = "") -> str:
        """What its checks have against it, in words; empty if nothing."""
        return unsound(self.store, self.asset, [month])


def sound_months(store: Store, asset: str, months: Iterable[str] | None = None) -> dict[str, str]:
    """The stamp of every month of an asset that its checks vouch for; of `months` alone, where they are given."""
    stamps = data_stamps(store, asset)
    available = sorted(set(stamps) if months is None else set(stamps) & set(months))
    verdicts = read_verdicts(store, asset, available)
    return {month: stamps[month] for month in available if state_of(verdicts.get(month), stamps[month]) in PASSING}
