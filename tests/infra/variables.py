"""Which variables something reads."""

from docs.configuration import OTHERS, PARTS
from housing_assets.config.databases import VARIABLES

OF_LIBRARIES = {
    "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_SECRET_ACCESS_KEY", "FORWARDED_ALLOW_IPS", "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "PGPASSWORD", "PGSSLMODE",
}  # fmt: skip
"""Those that boto3, uvicorn, MLflow and libpq read themselves."""


def known() -> set[str]:
    """Every variable that the project's settings or a library reads."""
    names = {name.strip() for listed in OTHERS for name in listed.split(",")} | OF_LIBRARIES | set(VARIABLES)
    for _, _, settings in PARTS:
        prefix = settings.model_config.get("env_prefix", "")
        names |= {str(f.validation_alias or f"{prefix}{name.upper()}") for name, f in settings.model_fields.items()}
    return names
