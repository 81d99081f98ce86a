"""Settings from the environment, for every process alike: read once, or refused with the variable's name."""

from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, SecretStr, ValidationError
from pydantic_settings import BaseSettings

from housing_assets.core.addresses import without_password
from housing_assets.core.errors import HousingError

_SETTINGS = TypeVar("_SETTINGS", bound=BaseSettings)


def read_environment(settings: type[_SETTINGS]) -> _SETTINGS:
    """Read a settings class from the environment.

    Raises:
        HousingError: a value makes no sense. A line for each names its variable and, but for secrets, the value.
    """
    try:
        return settings()
    except ValidationError as error:
        # Not chained: what pydantic says of a secret may have its value.
        raise HousingError("\n".join(_told(settings, dict(problem)) for problem in error.errors())) from None


def variable_of(settings: type[BaseSettings], name: str) -> str:
    """The variable that a field is read from."""
    alias = settings.model_fields[name].validation_alias
    return str(alias or f"{settings.model_config.get('env_prefix', '')}{name.upper()}")


def _told(settings: type[BaseSettings], problem: dict[str, Any]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    for name, field in settings.model_fields.items():
        variable = variable_of(settings, name)
        if problem["loc"] and problem["loc"][0] in (name, variable):
            secret = SecretStr in (field.annotation, *get_args(field.annotation))
            return (
                f"{variable}: {message}"
                if secret
                else f"{variable}={without_password(repr(problem['input']))}: {message}"
            )
    return message


def _is_http(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("write http://host:port or https://host")
    return text.rstrip("/")


HttpAddress = Annotated[str, AfterValidator(_is_http)]
"""Where a service answers, without a slash at its end."""

MaybeHttpAddress = Annotated[str, AfterValidator(lambda text: text and _is_http(text))]
"""The same, or empty where there is no such service."""
