"""The environment of the API, read once into one frozen object."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from housing_assets.config.environment import HttpAddress, MaybeHttpAddress
from housing_assets.core.limits import DEFAULT_STORE_URI

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


class ServingSettings(BaseSettings):
    """Everything that the environment may set. Each field is the variable `HOUSING_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="HOUSING_", env_ignore_empty=True, frozen=True, extra="ignore")

    store_uri: str = Field(DEFAULT_STORE_URI, description="Where assets live: a folder or s3://bucket/prefix")
    dagster_url: HttpAddress = Field("http://127.0.0.1:3000", description="Where /run_batch finds Dagster's webserver")
    api_keys: SecretStr = Field(SecretStr(""), description="Comma-separated keys; empty: no key is asked for")
    cors_origins: str = Field(
        "",
        description="Origins, comma-separated, whose browser applications may call the API, such as "
        "https://app.example.com; empty: none",
    )
    api_host: str = Field("127.0.0.1", description="Address that `python -m housing_serving` listens on")
    api_port: int = Field(8000, ge=1, le=65_535, description="Port that it listens on")
    api_root_path: str = Field(
        "", description="Path under which a load balancer shows the API and which it leaves on, such as /api"
    )
    leave_seconds: float = Field(5, ge=0, description="Seconds it goes on answering after SIGTERM")
    keep_folder: str = Field("data/serving", description="Folder of the last good model; none: no copy is kept")
    max_rows: int = Field(10_000, ge=1, description="Most rows of a call")
    max_explained_rows: int = Field(100, ge=1, description="Most rows of a call of /explain")
    max_body_mb: float = Field(16, gt=0, description="Most megabytes of a body")
    body_seconds: float = Field(30, gt=0, description="Seconds a client has to send its body")
    max_concurrent: int = Field(64, ge=1, description="Most calls at a time, health and metrics apart")
    rate_limit: str = Field("", description="Calls of one client, such as 100/second; empty: as many as it likes")
    reload_seconds: float = Field(5, gt=0, description="Seconds between looks for a new champion")
    start_seconds: float = Field(2, ge=0, description="Seconds the store has at start before the kept model serves")
    otlp_endpoint: MaybeHttpAddress = Field(
        "",
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Collector of OpenTelemetry that traces are posted to (HTTP, protobuf), such as "
        "http://collector:4318; empty: no traces",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @field_validator("api_root_path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError("write a path that begins with / and does not end with it, such as /api")
        return path

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        for origin in _listed(text):
            if not _is_origin(origin):
                remedy = (
                    "write scheme://host or scheme://host:port as browsers send it, such as https://app.example.com"
                )
                raise ValueError(f"{origin!r} is no origin: {remedy}; no *, no path, no slash at the end")
        return text

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
        """The API keys; empty if everybody may call."""
        return tuple(key.encode() for key in _listed(self.api_keys.get_secret_value()))

    @property
    def keeps_copy(self) -> bool:
        """True if the last good model is kept. An empty variable counts as unset, so that it takes a word to say no."""
        return self.keep_folder not in ("", "none")

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins whose browser applications may call; empty if none may."""
        return tuple(_listed(self.cors_origins))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_origin(text: str) -> bool:
    """True if a text is an origin as browsers write it (RFC 6454): lower case, without the default port."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}
    written = f"{parts.scheme}://{host}" + (f":{port}" if port and port != default.get(parts.scheme) else "")
    return parts.scheme in default and bool(_HOST.fullmatch(host)) and text == written
