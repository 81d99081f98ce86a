"""The errors a user can mend: each message says what, where, and what to do."""

from housing_assets.core.addresses import without_password


class HousingError(Exception):
    """Bad input or a broken store. The command line prints the message alone and exits with 1.

    Addresses in the message are shown without their passwords, wherever it ends up.
    """

    def __init__(self, *told: object) -> None:
        super().__init__(*(without_password(part) if isinstance(part, str) else part for part in told))


class SourceError(HousingError):
    """The raw panel cannot be read or breaks the column contract."""


class StoreError(HousingError):
    """The store cannot be reached, read or written."""


class UnknownPanelError(HousingError):
    """What the settings count from is not known before the source was read."""


class DamagedError(StoreError):
    """A file of the store was read, and is not what it should be: it stays so until it is written again."""


class MissingMonthError(HousingError):
    """A month was asked for that the source or the store lacks."""


class BundleError(HousingError):
    """A model bundle is missing, incomplete, damaged, or of another format."""
