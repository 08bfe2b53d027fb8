"""P32: the description shows an example of every answer, and no example contradicts its schema."""

import pytest
from jsonschema import Draft202012Validator

from consent_api.app import create_app
from edge.patterns import IN_WORDS
from settings import Settings
from tests.edge.described import patterns

DESCRIPTION = create_app(lambda: None, Settings()).openapi()
ROUTES = [(method, path) for path, operations in DESCRIPTION["paths"].items() for method in operations]


def checked(content: dict) -> Draft202012Validator:
    """The schema of a content, which refers to the description's components."""
    return Draft202012Validator({**content["schema"], "components": DESCRIPTION["components"]})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_p32_every_answer_of_a_route_has_an_example_that_its_schema_allows(method: str, path: str) -> None:
    answers = DESCRIPTION["paths"][path][method]["responses"]
    assert any(int(status) < 300 for status in answers)
    for status, answer in answers.items():
        for media_type, content in answer.get("content", {}).items():
            checked(content).validate(content["example"])
            if int(status) >= 400:
                assert media_type == "application/json"
                assert content["example"]["error"]["code"]


def test_p32_the_schemas_refuse_what_is_no_example() -> None:
    """The check above can fail: the example of one route is none of another."""
    profile = DESCRIPTION["paths"]["/client/{client_id}"]["get"]["responses"]["200"]["content"]["application/json"]
    companies = DESCRIPTION["paths"]["/companies"]["get"]["responses"]["200"]["content"]["application/json"]
    assert list(checked(profile).iter_errors(companies["example"]))


def test_every_pattern_can_be_said_in_words_when_a_request_breaks_it() -> None:
    assert patterns(DESCRIPTION)
    assert patterns(DESCRIPTION) <= IN_WORDS.keys()
