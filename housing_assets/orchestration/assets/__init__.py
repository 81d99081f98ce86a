"""The assets, one file a stage: a few lines each over `housing_assets.core`.

Each module has a function `make_assets(settings)`, by which `collect_assets` finds its assets: a new module is listed
nowhere.
"""

from importlib import import_module
from pkgutil import iter_modules

import dagster as dg

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import ASSETS
from housing_assets.core.errors import HousingError


def collect_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of every module of this package.

    Raises:
        HousingError: the catalogue describes an asset that no module defines.
    """
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    assets = [asset for module in modules for asset in module.make_assets(settings)]
    defined = {key.to_user_string() for asset in assets for key in asset.keys}
    if missing := [key for key in ASSETS if key not in defined]:
        raise HousingError(
            f"{', '.join(missing)}: described in housing_assets.core.catalogue, but no module of {__name__} defines "
            "it: write the asset, or remove its description"
        )
    return assets
