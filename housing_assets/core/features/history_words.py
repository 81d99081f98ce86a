"""The features of a history in words that a buyer understands."""

from housing_assets.core.features.history import HISTORY_FEATURES, LAGS, MEAN_MONTHS

_OWN, _METRO, _NATION = "own", "metro", "nation"
_OF = {_OWN: "its price", _METRO: "its metro's prices", _NATION: "the nation's prices"}
_SIGNAL_OF = {_OWN: "of the zip", _METRO: "of its metro", _NATION: "of the nation"}
_IN_WORDS = {
    "sale_to_list": "Sale price over list price",
    "days_on_market": "Days on market",
    "inventory": "Homes for sale",
    "above_list": "Share sold above list price",
    "supply": "Homes for sale by homes sold",
    "demand": "Homes under contract by new listings",
    "list_price": "Median list price",
}
HISTORY_DESCRIPTIONS: dict[str, str] = {
    **{f"{who}_growth_{k}": f"Growth of {of} over {k} month{'s' * (k > 1)}" for k in LAGS for who, of in _OF.items()},
    **{f"{who}_above_mean_{MEAN_MONTHS}": f"How far {of} are from their five-year mean" for who, of in _OF.items()},
    f"{_OWN}_above_mean_{MEAN_MONTHS}": "How far its price is from its five-year mean",
    "own_volatility_12": "How unevenly its price grew over 12 months",
    **{f"{_OWN}_{name}": f"{words}, as last known" for name, words in _IN_WORDS.items()},
    **{
        f"{who}_{name}_change_12": f"{words} {of}, against a year before"
        for name, words in _IN_WORDS.items()
        for who, of in _SIGNAL_OF.items()
    },
    **{f"{who}_growth_year_ago": f"Growth of {of} over the same months a year before" for who, of in _OF.items()},
    "own_season_sin": "Season, spring against autumn",
    "own_season_cos": "Season, winter against summer",
}
"""What the features are, in words that a buyer understands."""
assert HISTORY_DESCRIPTIONS.keys() == set(HISTORY_FEATURES), "a history feature has no words, or words no feature"
