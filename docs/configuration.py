"""Prints `docs/configuration.md`, every variable that may be set, from the classes that read them: `make docs`."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from housing_assets.config.environment import variable_of
from housing_assets.config.instance import InstanceSettings
from housing_assets.config.settings import Settings
from housing_dashboard.settings import DashboardSettings
from housing_serving.settings import ServingSettings

PARTS: tuple[tuple[str, str, type[BaseSettings]], ...] = (
    ("The assets", "`make run`, `housing`, Dagster's webserver, daemon and runs.", Settings),
    ("The Dagster instance", "What `housing` writes into `DAGSTER_HOME/dagster.yaml`.", InstanceSettings),
    ("The API", "`make api`, `python -m housing_serving`, `uvicorn housing_serving.app:app`.", ServingSettings),
    ("The dashboard", "`python -m housing_dashboard`, `streamlit run housing_dashboard/server.py`.", DashboardSettings),
)
OTHERS = {
    "GIT_COMMIT": ("that of the work tree", "Commit that models and experiments name, where there is no git"),
    "HOUSING_TEST_STRICT": ("", "1: a skipped test is a failed one, as in CI"),
    "HOUSING_BASE_IMAGE": ("that of the Dockerfile", "Image that `make images` builds on, in the engine already"),
    "HOUSING_ENGINE_CACHE": ("`~/.cache/housing-engine`", "Folder of the engine that `.ci/engine` starts"),
    "HOUSING_ENGINE_RUN": ("`/run/housing-engine`", "Folder of its sockets"),
    "HOUSING_STACK_ENV": ("`infra/.env`", "File of what `make stack` is told"),
    "SOAK_SECONDS": ("600", "Seconds of `make soak`"),
    "FULL": ("", "1: `make bench` at full scale"),
    "ONLY": ("every group", "Groups of `make bench`, comma-separated"),
    "HALF": ("all regions", "0 or 1: every other region of an index, for `make bench ONLY=forecasts`"),
    "FIRST_MONTH": ("the first", "First month of an index that is read, for `make bench ONLY=forecasts`"),
    "REQUIRED": ("", "1: `make audit` fails where no advisory service can be asked"),
    "DAGSTER_HOME": ("`data/dagster`", "Folder of the Dagster instance"),
    "DAGSTER_PORT, API_PORT, DASHBOARD_PORT, MLFLOW_PORT": ("3000, 8000, 8501, 5000", "Ports of `make serve`"),
    "AWS_ENDPOINT_URL, AWS_REGION, AWS credentials": ("", "As in every AWS tool; S3-compatible stores: the endpoint"),
    "AWS_DEFAULT_REGION": ("", "The region where AWS_REGION is not set; the one that Dagster's launcher and logs read"),
    "PGPASSWORD, PGSSLMODE": ("", "As in every PostgreSQL tool, so that no address has a password"),
    "OTEL_SERVICE_NAME": ("`unknown_service`; in the API's image `housing-api`", "Whose traces they are"),
    "MLFLOW_BACKEND_STORE_URI": ("", "Database of MLflow's server, which `housing databases` makes"),
}


def page() -> str:
    """The page in Markdown."""
    lines = ["# Configuration", "", "Written by `make docs` from the classes that read the environment. An empty"]
    lines += ["variable is as good as none. A value that makes no sense stops the start and is named.", ""]
    for title, what, settings in PARTS:
        lines += [f"## {title}", "", what, "", *_table(settings), ""]
    lines += ["## Others", "", "| variable | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| {_code(names)} | {default} | {told} |" for names, (default, told) in OTHERS.items()]
    return "\n".join(lines) + "\n"


def _table(settings: type[BaseSettings]) -> list[str]:
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in settings.model_fields.items():
        variable = variable_of(settings, name)
        value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        lines.append(f"| `{variable}` | {f'`{value}`' if value != '' else ''} | {field.description} |")
    return lines


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" if name.replace("_", "").isupper() else name for name in names.split(", "))


if __name__ == "__main__":
    print(page(), end="")
