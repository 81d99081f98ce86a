"""Live predictions from the API."""

from collections.abc import Mapping
from typing import Any

import httpx

from housing_dashboard.settings import DashboardSettings


class ApiAwayError(Exception):
    """The API does not answer, is too slow, or has no model; the message says which."""


class ApiRefusedError(Exception):
    """The API refused the row; the message names the field."""


class Api:
    """The calls that the dashboard makes."""

    def __init__(self, settings: DashboardSettings) -> None:
        """Point at the API; nothing is asked yet."""
        key = settings.api_key.get_secret_value()
        headers = {"X-API-Key": key} if key else {}
        self._client = httpx.Client(base_url=settings.api_url, headers=headers, timeout=settings.api_seconds)

    def close(self) -> None:
        """Close its connections; nothing can be asked after that."""
        self._client.close()

    def row_schema(self) -> dict[str, dict[str, Any]]:
        """JSON Schema of each column of a raw row.

        Raises:
            ApiAwayError: the API does not answer.
        """
        return self._ask("GET", "/openapi.json")["components"]["schemas"]["RawRow"]["properties"]

    def predict(self, row: Mapping[str, Any], history: bool = True) -> dict[str, Any]:
        """The answer of `POST /predict` for one row.

        Args:
            row: to predict.
            history: may the zip's own past prices be used? If not, the figures of the row alone are.

        Raises:
            ApiAwayError: the API does not answer.
            ApiRefusedError: a value of the row is wrong.
        """
        return self._ask("POST", "/predict", [dict(row)], history)

    def explain(self, row: Mapping[str, Any], history: bool = True) -> dict[str, Any]:
        """The one explanation of `POST /explain`; arguments and errors as those of `predict`."""
        return self._ask("POST", "/explain", [dict(row)], history)["explanations"][0]

    def _ask(self, method: str, path: str, body: object = None, history: bool = True) -> Any:
        try:
            answer = self._client.request(method, path, json=body, params=None if history else {"history": "false"})
        except httpx.TimeoutException as error:
            raise ApiAwayError(f"it did not answer within {self._client.timeout.read:g} seconds") from error
        except httpx.TransportError as error:
            raise ApiAwayError("nothing answers at its address") from error
        try:
            told = answer.json()
        except ValueError as error:
            raise ApiAwayError("what answers at its address is not the API") from error
        if answer.status_code == 422:
            wrong = "; ".join(f"{e['field']} {e['message']}" for e in told["errors"])
            raise ApiRefusedError(wrong or told["detail"])
        if answer.is_error:
            raise ApiAwayError(str(told.get("detail") or told.get("title") or answer.status_code))
        return told
