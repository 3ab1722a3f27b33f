import pytest

from extauth.credential import presented_key
from ias.apikeys import new_key
from ias.errors import ApiError

KEY, OTHER = new_key(), new_key()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY.text}"},
        {"authorization": f"bearer  {KEY.text} "},
        {"authorization": f"BEARER {KEY.text}"},
        {"x-api-key": KEY.text},
        {"api-key": KEY.text},
        {"authorization": f"Bearer {KEY.text}", "x-api-key": KEY.text, "api-key": KEY.text},
    ],
)
def test_found(headers: dict[str, str]) -> None:
    assert presented_key(headers) == KEY


@pytest.mark.parametrize("headers", [{}, {"cookie": KEY.text}])
def test_none(headers: dict[str, str]) -> None:
    assert presented_key(headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": ""},
        {"authorization": KEY.text},
        {"authorization": f"Basic {KEY.text}"},
        {"authorization": f"Bearer {KEY.text}x"},
        {"authorization": f"Bearer {KEY.text[:-1]}"},
        {"authorization": f"Bearer {KEY.text},Bearer {KEY.text}"},
        {"authorization": f"Bearer {KEY.text}", "x-api-key": OTHER.text},
        {"authorization": f"Bearer {KEY.text}", "x-api-key": ""},
        {"authorization": f"Basic {KEY.text}", "x-api-key": KEY.text},
        {"x-api-key": f"Bearer {KEY.text}"},
        {"x-api-key": f"{KEY.text}, {KEY.text}"},
        {"x-api-key": "A" * 100_000},
    ],
)
def test_malformed_or_contradictory(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        presented_key(headers)
    assert refused.value.status == 401
    assert KEY.text not in refused.value.message
