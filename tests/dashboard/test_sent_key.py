"""Which key the dashboard sends while the secret that it shares with the API has two."""

import pytest

from housing_dashboard.api import Api
from housing_dashboard.settings import DashboardSettings


@pytest.mark.parametrize(("secret", "sent"), [("", None), ("one", "one"), ("new,old", "new"), (" new , old", "new")])
def test_the_first_key_is_sent(secret, sent):
    api = Api(DashboardSettings.model_validate({"api_key": secret}))
    assert api._client.headers.get("X-API-Key") == sent
    api.close()
