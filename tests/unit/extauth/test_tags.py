import pytest

from extauth.tags import parse_tags
from ias.errors import ApiError


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("team=search", {"team": "search"}),
        ("team=search, run=17", {"team": "search", "run": "17"}),
        ("a=b=c", {"a": "b=c"}),
        ("note=two words", {"note": "two words"}),
        (",".join(f"k{i}=v" for i in range(8)), {f"k{i}": "v" for i in range(8)}),
        ("k" * 64 + "=" + "v" * 64, {"k" * 64: "v" * 64}),
    ],
)
def test_read(header: str, tags: dict[str, str]) -> None:
    assert parse_tags(header) == tags


@pytest.mark.parametrize(
    "header",
    [
        "",
        "team",
        "=x",
        "team=",
        "a=1,a=2",
        "a=1,,b=2",
        ",",
        "k" * 65 + "=v",
        "k=" + "v" * 65,
        "ä=1",
        "k=ä",
        "k=\x01",
        ",".join(f"k{i}=v" for i in range(9)),
        "," * 10_000,
    ],
)
def test_refused(header: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_tags(header)
    assert (refused.value.status, refused.value.code) == (400, "invalid_tags")
