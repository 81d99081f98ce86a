"""The Dagster instance: the project's `dagster.yaml`, with what the environment moves to PostgreSQL, S3 and ECS."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from housing_assets.config.environment import read_environment
from housing_assets.core.errors import HousingError
from housing_assets.core.text import first_line

if TYPE_CHECKING:
    from dagster import DagsterInstance

BASE = Path(__file__).with_name("dagster.yaml")
WORKSPACE = Path(__file__).with_name("workspace.yaml")
"""Both are in the package, so that they are in its wheel. The links at the root are for people and commands."""

_MARK = "# Written by `housing` from the project's dagster.yaml and the environment: changes here are lost.\n"
_SCHEME = "postgresql+psycopg2://"
_POSTGRES, _ENDPOINT = "HOUSING_POSTGRES_URL", "AWS_ENDPOINT_URL"


class InstanceSettings(BaseSettings):
    """Where the instance keeps runs, events and logs, and where its runs are."""

    model_config = SettingsConfigDict(env_prefix="HOUSING_", env_ignore_empty=True, frozen=True, extra="ignore")

    postgres_url: SecretStr = Field(
        SecretStr(""),
        description="Runs, events and schedules: postgresql+psycopg2://user:password@host/database; empty: SQLite "
        "under DAGSTER_HOME",
    )
    logs_bucket: str = Field("", description="S3 bucket of the runs' output; empty: a folder under DAGSTER_HOME")
    logs_prefix: str = Field("dagster", description="Prefix of the runs' output in that bucket")
    ecs_task_definition: str = Field(
        "", description="Family or ARN of the ECS task that each run gets; empty: runs are processes beside the daemon"
    )
    ecs_container: str = Field("run", description="Container of that task that the run is in")
    ecs_cluster: str = Field("", description="ECS cluster of these tasks")
    ecs_subnets: str = Field("", description="Their subnets, comma-separated")
    ecs_security_groups: str = Field("", description="Their security groups, comma-separated")

    @field_validator("postgres_url")
    @classmethod
    def _names_its_driver(cls, url: SecretStr) -> SecretStr:
        # SQLAlchemy 2.1 takes psycopg 3 where none is named, which dagster-postgres does not install.
        if url.get_secret_value() and not url.get_secret_value().startswith(_SCHEME):
            raise ValueError(f"write {_SCHEME}user:password@host/database")
        return url

    @model_validator(mode="after")
    def _knows_where_tasks_go(self) -> "InstanceSettings":
        places = ("ecs_cluster", "ecs_subnets", "ecs_security_groups")
        missing = [f"HOUSING_{name.upper()}" for name in places if not getattr(self, name)]
        if self.ecs_task_definition and missing:
            raise ValueError(f"HOUSING_ECS_TASK_DEFINITION={self.ecs_task_definition} needs {', '.join(missing)} too")
        return self


def load_instance_settings() -> InstanceSettings:
    """Read the environment.

    Raises:
        HousingError: a value makes no sense; the message names its variable and hides its value.
    """
    return read_environment(InstanceSettings)


def instance_config(base: Mapping[str, Any], settings: InstanceSettings, endpoint: str = "") -> dict[str, Any]:
    """The configuration of an instance.

    Args:
        base: what every instance has.
        settings: where it keeps things. No secret is copied: the configuration names the variable.
        endpoint: of an S3-compatible store; empty for AWS itself.
    """
    config = dict(base)
    if settings.postgres_url.get_secret_value():
        config["storage"] = {"postgres": {"postgres_url": {"env": _POSTGRES}}}
    if settings.logs_bucket:
        place: dict[str, Any] = {"bucket": settings.logs_bucket, "prefix": settings.logs_prefix}
        if endpoint:
            place["endpoint_url"] = {"env": _ENDPOINT}
        config["compute_logs"] = {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": "S3ComputeLogManager",
            "config": place,
        }
    if settings.ecs_task_definition:
        config["run_launcher"] = {
            "module": "dagster_aws.ecs",
            "class": "EcsRunLauncher",
            "config": {
                "task_definition": settings.ecs_task_definition,
                "container_name": settings.ecs_container,
                # The task definition has the secrets: no list of all of the account's is asked for.
                "secrets_tag": None,
                "use_current_ecs_task_config": False,
                "run_task_kwargs": {
                    "cluster": settings.ecs_cluster,
                    "launchType": "FARGATE",
                    "propagateTags": "TASK_DEFINITION",
                    "networkConfiguration": {
                        "awsvpcConfiguration": {
                            "subnets": _listed(settings.ecs_subnets),
                            "securityGroups": _listed(settings.ecs_security_groups),
                            "assignPublicIp": "DISABLED",
                        }
                    },
                },
            },
        }
    return config


def open_instance(home: Path) -> "DagsterInstance":
    """The instance that `dagster.yaml` in DAGSTER_HOME describes.

    Raises:
        HousingError: its database does not answer.
    """
    import dagster as dg

    try:
        return dg.DagsterInstance.from_config(str(home))
    except Exception as error:
        from dagster_postgres.utils import DagsterPostgresException

        if not isinstance(error, DagsterPostgresException):
            raise
        reason = first_line(error.__cause__ or error)
        raise HousingError(f"{_POSTGRES}: the database does not answer ({reason}): start it, or mend it") from None


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def write_instance(home: Path, settings: InstanceSettings, endpoint: str = "") -> None:
    """Write `dagster.yaml` into DAGSTER_HOME; one that somebody else wrote stays as it is.

    Raises:
        HousingError: the folder cannot be made or written.
    """
    file = home / "dagster.yaml"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if file.exists() and not file.read_text().startswith(_MARK):
            return
        base = yaml.safe_load(BASE.read_text()) if BASE.exists() else {}
        text = _MARK + yaml.safe_dump(instance_config(base, settings, endpoint), sort_keys=False)
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
    except OSError as error:
        raise HousingError(f"DAGSTER_HOME={home} cannot be written: {error.strerror}: set another folder") from error
