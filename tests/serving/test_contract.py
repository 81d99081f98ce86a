"""Every operation against its own OpenAPI: what schemathesis thinks of, good and bad, with all of its checks."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from housing_serving.app import create_app
from housing_serving.settings import ServingSettings

PAGE = create_app(ServingSettings(keep_folder="")).openapi()
OPERATIONS = [(path, method.upper()) for path, known in PAGE["paths"].items() for method in known]
WITHOUT_INPUT = {
    (path, method.upper())
    for path, known in PAGE["paths"].items()
    for method, operation in known.items()
    if not operation.get("parameters") and "requestBody" not in operation
}
"""Nothing that is sent to them can be wrong."""


@pytest.fixture(scope="module")
def page(client):
    return schemathesis.openapi.from_asgi("/openapi.json", client.app)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_answers_are_as_openapi_says(client, page, path, method, mode):
    if (path, method) in WITHOUT_INPUT and mode is GenerationMode.NEGATIVE:
        assert client.request(method, path).status_code == 200
        return
    operation = page[path][method]
    seen = []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def check(case):
        left_out = []
        if path.startswith("/run_batch"):
            left_out.append(not_a_server_error)  # no Dagster runs here, which is a 503
        is_split = isinstance(case.body, dict) and "dataframe_split" in case.body
        if case.media_type == "text/csv" or is_split:
            left_out.append(positive_data_acceptance)  # OpenAPI cannot say what a table of such columns has in it
        if path.startswith("/history") and case.query and {"from", "to"} <= case.query.keys():
            left_out.append(positive_data_acceptance)  # nor that the first month must not come after the last
        answer = case.call(session=client)
        if answer.status_code == 413:
            left_out.append(negative_data_rejection)  # a body above the limit is refused before anyone looks into it
        case.validate_response(answer, excluded_checks=left_out)
        seen.append(answer.status_code)

    check()
    assert seen
    assert max(seen) < 500 or path.startswith("/run_batch")
