"""The PostgreSQL databases that Dagster, MLflow and Optuna keep their records in: one each, made where missing.

They cannot share one: all three name their migration table `alembic_version`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from housing_assets.core.errors import HousingError
from housing_assets.core.text import first_line

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

VARIABLES = ("HOUSING_POSTGRES_URL", "HOUSING_STUDY_STORAGE", "MLFLOW_BACKEND_STORE_URI")
"""Variables that may name one."""
_MAINTENANCE = "postgres"


def create_databases(environment: Mapping[str, str]) -> dict[str, bool]:
    """Make the databases that the environment names.

    Args:
        environment: those of `VARIABLES` that begin with `postgresql` count. libpq's own variables (PGPASSWORD,
            PGSSLMODE, …) hold as ever, so that no password has to be in an address.

    Returns:
        By the database's name, whether it was made now.

    Raises:
        HousingError: a server does not answer, or refuses; the message names the variable and hides its value.
    """
    from sqlalchemy.engine import make_url

    created = {}
    for variable in VARIABLES:
        address = environment.get(variable, "")
        if address.startswith("postgresql"):
            url = make_url(address)
            if not url.database:
                raise HousingError(f"{variable} names no database: write postgresql+psycopg2://user@host/database")
            created[url.database] = _create(
                variable, url.set(drivername="postgresql", database=_MAINTENANCE), url.database
            )
    return created


def _create(variable: str, maintenance: "URL", name: str) -> bool:
    import psycopg2
    from psycopg2 import errors, sql

    try:
        connection = psycopg2.connect(maintenance.render_as_string(hide_password=False))
    except psycopg2.OperationalError as error:
        raise HousingError(f"{variable}: its server cannot be asked for {name}: {first_line(error)}") from None
    # A database cannot be made inside a transaction.
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1 from pg_database where datname = %s", (name,))
            if cursor.fetchone():
                return False
            cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            return True
    except (errors.DuplicateDatabase, errors.UniqueViolation):  # another process was quicker
        return False
    except psycopg2.Error as error:
        raise HousingError(f"{variable}: {name} cannot be made: {str(error).strip()}") from None
    finally:
        connection.close()
