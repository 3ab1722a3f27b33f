import pytest

from ias.cloudevents import expect_type, headers


def test_the_required_attributes_are_headers() -> None:
    assert dict(headers("t.v1", "/s", "id-1", 1_645_557_743_007)) == {
        "ce_specversion": b"1.0",
        "ce_type": b"t.v1",
        "ce_source": b"/s",
        "ce_id": b"id-1",
        "ce_time": b"2022-02-22T19:22:23.007Z",
        "content-type": b"application/json",
    }


def test_a_reader_knows_its_type_among_others() -> None:
    expect_type(headers("t.v1", "/s", "1", 0), "t.v1")
    with pytest.raises(ValueError, match=r"is t\.v1, not t\.v2"):
        expect_type(headers("t.v1", "/s", "1", 0), "t.v2")
    with pytest.raises(ValueError, match="the type is , not"):
        expect_type((("ce_type", None),), "t.v1")
    with pytest.raises(ValueError, match="no header ce_type"):
        expect_type((("content-type", b"application/json"),), "t.v1")
