import pytest

from extauth.access import find_model, is_traditional, list_models
from ias.errors import ApiError
from ias.gateway_views import ModelType
from tests.unit.extauth.world import index, publication

PUBLICATIONS = index(publication("small"), publication("large"), publication("foreign", allowed_org_ids=("org-2",)))


def test_found() -> None:
    assert find_model(PUBLICATIONS, "small", "org-1", ()).publication.model == "small"


@pytest.mark.parametrize(
    ("model", "patterns", "expected"),
    [
        ("nothing", (), (404, "model_not_found")),
        ("foreign", (), (404, "model_not_found")),
        ("foreign", ("large",), (404, "model_not_found")),
        ("small", ("large",), (403, "model_not_allowed")),
    ],
)
def test_refused(model: str, patterns: tuple[str, ...], expected: tuple[int, str]) -> None:
    with pytest.raises(ApiError) as refused:
        find_model(PUBLICATIONS, model, "org-1", patterns)
    assert (refused.value.status, refused.value.code) == expected
    assert refused.value.param == "model"


def test_a_foreign_model_looks_like_none() -> None:
    def message(model: str) -> str:
        with pytest.raises(ApiError) as refused:
            find_model(PUBLICATIONS, model, "org-1", ())
        return refused.value.message.replace(model, "X")

    assert message("foreign") == message("nothing")


def test_the_protocol_of_a_foreign_model_is_not_told() -> None:
    publications = index(publication("iris", model_type=ModelType.TRADITIONAL), publication("small"))
    asked = [("iris", "org-1"), ("iris", "org-2"), ("small", "org-1"), ("nothing", "org-1")]
    assert [is_traditional(publications, model, org) for model, org in asked] == [True, False, False, False]


def test_the_list_is_what_the_key_may_use_by_name() -> None:
    assert [p.publication.model for p in list_models(PUBLICATIONS, "org-1", ())] == ["large", "small"]
    assert [p.publication.model for p in list_models(PUBLICATIONS, "org-1", ("s*",))] == ["small"]
    assert list_models(PUBLICATIONS, "org-3", ()) == []
