import pytest

from controlplane.orgs.rules import is_slug, slug_of


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Data Science Team", "data-science-team"),
        ("  Ünïcode & Co. ", "unicode-co"),
        ("a" * 62 + " b", "a" * 62),
        ("日本", None),
        ("--", None),
        ("7", "7"),
    ],
)
def test_a_slug_is_what_is_left_of_the_name(name: str, slug: str | None) -> None:
    assert slug_of(name) == slug
    assert slug is None or is_slug(slug)


@pytest.mark.parametrize("text", ["", "A", "-a", "a-", "a" * 64, "a\n", "a.b", "é"])
def test_what_is_no_dns_label_is_no_slug(text: str) -> None:
    assert not is_slug(text)
