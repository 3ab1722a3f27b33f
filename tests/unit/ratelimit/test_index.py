from ratelimit.index import NOTE_MS, Noted


def test_an_org_is_noted_once_in_a_while_and_again_after_a_new_connection() -> None:
    noted = Noted()
    assert noted.fresh(["a", "b", "a"], 0, 1) == ["a", "b"]
    noted.add(["a", "b"], 0)
    assert noted.fresh(["a", "c"], NOTE_MS - 1, 1) == ["c"]
    assert noted.fresh(["a"], NOTE_MS, 1) == ["a"]
    assert noted.fresh(["a", "b"], 1, 2) == ["a", "b"], "the server may have been emptied before it"


def test_what_is_remembered_of_orgs_is_bounded_by_those_in_use() -> None:
    noted = Noted()
    for now in range(100_000):
        noted.add([f"org-{now}"], now)
    assert len(noted._at) <= 2 * NOTE_MS
