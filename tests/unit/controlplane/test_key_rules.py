from controlplane.keys.rules import KeyRules


def test_new_keys_use_the_pepper_of_the_highest_version() -> None:
    assert KeyRules({2: b"two", 10: b"ten", 1: b"one"}, "live", 1).current_pepper == (10, b"ten")


def test_peppers_are_not_in_the_representation() -> None:
    assert "two" not in repr(KeyRules({2: b"two"}, "live", 1))
