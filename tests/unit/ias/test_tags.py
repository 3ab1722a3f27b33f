from ias.tags import merged, parse_pair


def test_the_labels_of_a_key_go_before_what_its_request_brings() -> None:
    assert merged({"team": "theirs", "run": "17"}, {"team": "search"}) == {"team": "search", "run": "17"}
    assert merged({}, {}) == {}


def test_a_pair() -> None:
    assert parse_pair("a=b=c") == ("a", "b=c")
    assert [parse_pair(text) for text in ("", "a", "=b", "a=", "a=,", "a b=c", "k" * 65 + "=v")] == [None] * 7
