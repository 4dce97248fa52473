"""Requests made up from the OpenAPI description: none makes the service fail."""

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.support.laws import examples
from tests.support.services.clients import TOKEN, app_of, asked, make_library

KEPT = ("method", "url", "params", "json")


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """A client that may write, and the description of what it may ask."""
    folder = make_library(tmp_path_factory.mktemp("fuzz") / "notes")
    with asked(folder, token=TOKEN, write=True) as client:
        yield client, schemathesis.openapi.from_dict(client.app.openapi())


def addresses():
    app = app_of(Path("nothing"))
    for path, methods in app.openapi()["paths"].items():
        for method, described in methods.items():
            yield path, method.upper(), GenerationMode.POSITIVE
            # Without anything to give, nothing can be given wrongly.
            if "parameters" in described or "requestBody" in described:
                yield path, method.upper(), GenerationMode.NEGATIVE


@pytest.mark.parametrize(("path", "method", "mode"), [*addresses()])
def test_no_request_of_the_description_makes_the_service_fail(described, path, method, mode):
    client, schema = described
    strategy = schema[path][method].as_strategy(generation_mode=mode)

    @settings(max_examples=examples(12), suppress_health_check=list(HealthCheck))
    @given(st.data())
    def law(data):
        case = data.draw(strategy)
        request = case.as_transport_kwargs(base_url="http://127.0.0.1")
        sent = {name: request[name] for name in KEPT if name in request}
        if "data" in request:
            sent["content"] = request["data"]
        answer = client.request(**sent)
        assert answer.status_code < 500 or answer.headers.get("retry-after"), answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]

    law()
