"""The API's document is in the repository, so that a review sees what a change does to the API."""

from tools.openapi_doc import PATH, render


def test_the_document_is_that_of_the_routes() -> None:
    assert PATH.read_text() == render(), "the API changed: run `make docs`, and read the diff of docs/openapi.json"
