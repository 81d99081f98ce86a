"""Which measures are taken of each asset, so that no rule judges a measure that nothing takes and always passes.

Each module of this package declares what it measures in a constant `MEASURES`, beside the functions that measure it.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from housing_assets.core import quality
from housing_assets.core.errors import HousingError
from housing_assets.core.quality.rules import Rule


@cache
def all_measures() -> Mapping[str, frozenset[str]]:
    """By asset, every measure that a module of this package takes of it on any of its months."""
    measures: dict[str, frozenset[str]] = {}
    for module in iter_modules(quality.__path__, f"{quality.__name__}."):
        declared: Mapping[str, frozenset[str]] = getattr(import_module(module.name), "MEASURES", {})
        for asset, names in declared.items():
            measures[asset] = measures.get(asset, frozenset()) | names
    return measures


def require_measures(rules: Iterable[Rule]) -> None:
    """Refuse rules that would judge nothing.

    Raises:
        HousingError: the measure of a rule is taken of none of the months of one of its assets.
    """
    measures = all_measures()
    for rule in rules:
        for asset in rule.assets:
            if rule.measure not in measures.get(asset, ()):
                taken = ", ".join(sorted(measures.get(asset, ()))) or "nothing"
                raise HousingError(
                    f"the rule {rule.name} of {asset} judges {rule.measure}, which is not measured of it; measured "
                    f"is {taken}: take the measure and name it in MEASURES of the module that takes it, or mend the "
                    "rule"
                )
