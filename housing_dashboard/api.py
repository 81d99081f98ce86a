"""The API as the dashboard calls it: live predictions and their explanations."""

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
        """Make the client; nothing is requested yet."""
        # While a key is changed, the secret that both processes read has the new and the old one.
        key = settings.api_key.get_secret_value().partition(",")[0].strip()
        headers = {"X-API-Key": key} if key else {}
        self._client = httpx.Client(base_url=settings.api_url, headers=headers, timeout=settings.api_seconds)

    def close(self) -> None:
        """Close its connections. No call can follow."""
        self._client.close()

    def row_schema(self) -> dict[str, dict[str, Any]]:
        """JSON Schema of each column of a raw row.

        Raises:
            ApiAwayError: the API does not answer.
        """
        return self._call("GET", "/openapi.json")["components"]["schemas"]["RawRow"]["properties"]

    def predict(self, row: Mapping[str, Any], history: bool = True) -> dict[str, Any]:
        """The answer of `POST /predict` for one row.

        Args:
            row: to predict.
            history: True to predict from the zip's own past prices where there are enough; False to use the row alone.

        Raises:
            ApiAwayError: the API does not answer.
            ApiRefusedError: a value of the row is wrong.
        """
        return self._call("POST", "/predict", [dict(row)], history)

    def explain(self, row: Mapping[str, Any], history: bool = True) -> dict[str, Any]:
        """The one explanation of `POST /explain`; arguments and errors as those of `predict`."""
        return self._call("POST", "/explain", [dict(row)], history)["explanations"][0]

    def _call(self, method: str, path: str, body: object = None, history: bool = True) -> Any:
        try:
            answer = self._client.request(method, path, json=body, params=None if history else {"history": "false"})
        except httpx.TimeoutException as error:
            raise ApiAwayError(f"it did not answer within {self._client.timeout.read:g} seconds") from error
        except httpx.TransportError as error:
            raise ApiAwayError("nothing answers at its address") from error
        try:
            content = answer.json()
        except ValueError as error:
            raise ApiAwayError("the server at its address is not the API") from error
        if answer.status_code == 422:
            problems = ", ".join(f"{e['field']} {e['message']}" for e in content["errors"])
            raise ApiRefusedError(problems or content["detail"])
        if answer.is_error:
            raise ApiAwayError(str(content.get("detail") or content.get("title") or answer.status_code))
        return content
