"""The settings, the API client and the store of this process, and the stamps that every cached frame is kept under.

What is read of one kind of asset belongs in the other modules.
"""

import os

import streamlit as st

from housing_assets.config.environment import read_environment
from housing_assets.store.layout import Store
from housing_dashboard.api import Api
from housing_dashboard.settings import DashboardSettings

SECONDS_BETWEEN_LISTINGS = 2.0
"""For so long a list of files is taken from the cache: one click lists them several times."""


@st.cache_resource
def _settings(environment: tuple[tuple[str, str], ...]) -> DashboardSettings:
    del environment  # a key: another environment is another dashboard
    return read_environment(DashboardSettings)


def settings() -> DashboardSettings:
    """The settings of this process.

    Raises:
        HousingError: a value of the environment makes no sense; the message names its variable.
    """
    return _settings(_environment())


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("HOUSING_")))


@st.cache_resource(max_entries=2, show_spinner=False, on_release=Api.close)
def _api(environment: tuple[tuple[str, str], ...]) -> Api:
    return Api(_settings(environment))


def api() -> Api:
    """The client of the API, shared by all sessions and threads.

    Raises:
        HousingError: as `settings`.
    """
    return _api(_environment())


@st.cache_resource
def open_store(uri: str) -> Store:
    """The store at a URI, opened once."""
    return Store.open(uri)


def store() -> Store:
    """The store that the pages show."""
    return open_store(settings().store_uri)


@st.cache_data(ttl=SECONDS_BETWEEN_LISTINGS, show_spinner=False)
def _stamps(uri: str, prefix: str) -> dict[str, str]:
    return open_store(uri).blobs.stamps(prefix)


def stamps(prefix: str) -> dict[str, str]:
    """The stamp of every file under a prefix, by key."""
    return _stamps(settings().store_uri, prefix)
