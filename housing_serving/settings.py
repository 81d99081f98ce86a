"""The environment of the API, read once into one frozen object."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from housing_assets.core.environment import HttpAddress
from housing_assets.store.layout import DEFAULT_URI


class ServingSettings(BaseSettings):
    """Everything that may be set from outside. Each field is the variable `HOUSING_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="HOUSING_", env_ignore_empty=True, frozen=True, extra="ignore")

    store_uri: str = Field(DEFAULT_URI, description="Where assets live: a folder or s3://bucket/prefix")
    dagster_url: HttpAddress = Field("http://127.0.0.1:3000", description="Where /run_batch finds Dagster's webserver")
    api_keys: SecretStr = Field(SecretStr(""), description="Comma-separated keys; empty: no key is asked for")
    api_host: str = Field("127.0.0.1", description="Address that `python -m housing_serving` listens on")
    api_port: int = Field(8000, ge=1, le=65_535, description="Port that it listens on")
    api_root_path: str = Field(
        "", description="Path under which a load balancer shows the API and which it leaves on, such as /api"
    )
    leave_seconds: float = Field(5, ge=0, description="Seconds it goes on answering after SIGTERM")
    keep_folder: str = Field("data/serving", description="Folder of the last good model; empty: none is kept")
    max_rows: int = Field(10_000, ge=1, description="Most rows of a call")
    max_explained_rows: int = Field(100, ge=1, description="Most rows of a call of /explain")
    max_body_mb: float = Field(16, gt=0, description="Most megabytes of a body")
    body_seconds: float = Field(30, gt=0, description="Seconds a client has to send its body")
    max_concurrent: int = Field(64, ge=1, description="Most calls at a time, health and metrics apart")
    rate_limit: str = Field("", description="Calls of one client, such as 100/second; empty: as many as it likes")
    reload_seconds: float = Field(5, gt=0, description="Seconds between looks for a new champion")
    start_seconds: float = Field(2, ge=0, description="Seconds the store has at start before the kept model serves")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @field_validator("api_root_path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError("write a path that begins with / and does not end with it, such as /api")
        return path

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, text: str) -> str:
        if text:
            import limits

            try:
                limits.parse(text)
            except ValueError:
                raise ValueError("write a count and a span, such as 100/second or 1000/minute") from None
        return text

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The API keys; none: everybody may call."""
        return tuple(k.strip().encode() for k in self.api_keys.get_secret_value().split(",") if k.strip())
