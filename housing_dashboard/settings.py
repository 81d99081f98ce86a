"""The environment of the dashboard, read once into one frozen object."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from housing_assets.config.environment import HttpAddress
from housing_assets.core.limits import DEFAULT_STORE_URI


class DashboardSettings(BaseSettings):
    """Everything that may be set from outside. Each field is the variable `HOUSING_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="HOUSING_", env_ignore_empty=True, frozen=True, extra="ignore")

    store_uri: str = Field(DEFAULT_STORE_URI, description="Where assets live: a folder or s3://bucket/prefix")
    api_url: HttpAddress = Field("http://127.0.0.1:8000", description="Where the dashboard finds the API")
    api_key: SecretStr = Field(
        SecretStr(""),
        description="Key the dashboard sends to the API; of comma-separated ones the first; empty: none",
    )
    api_seconds: float = Field(5, gt=0, description="Seconds the dashboard waits for the API")
    dagster_url: HttpAddress = Field("http://127.0.0.1:3000", description="Where links to Dagster lead")
    mlflow_url: HttpAddress = Field("http://127.0.0.1:5000", description="Where links to MLflow lead")
