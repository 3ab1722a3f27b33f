"""Any bytes give a typed error or a request, and a name that comes twice is found exactly when an oracle finds it."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extauth.request import ParsedRequest, parse_request
from ias.endpoints import Endpoint
from ias.errors import ApiError

names = st.sampled_from(["model", "stream", "x", "", "n\u00e9", 'quo"te', "back\\slash", "tab\t"])
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(['"model":', "}", "{", ",", "\\"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6)
spaces = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])


def parse(body: bytes) -> ParsedRequest | ApiError:
    try:
        return parse_request(body, Endpoint.CHAT_COMPLETIONS)
    except ApiError as error:
        refused = error
    assert refused.status == 400
    assert json.loads(refused.openai_body())["error"]["code"] == refused.code
    return refused


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@example(b'{"model":"\\ud800"}')
@example(b'{"model":"m","messages":[{"content":"\\u00"}]}')
@example(b'{"model":"m","messages":[{"content":"\xff_url"}]}')
def test_any_bytes(body: bytes) -> None:
    parse(body)


@given(values)
def test_any_json(value: object) -> None:
    parse(json.dumps(value).encode())


@given(st.dictionaries(st.sampled_from(["stream", "stream_options", "max_tokens", "n", "messages", "x"]), values, max_size=6))
def test_any_members_beside_a_model(members: dict[str, object]) -> None:
    body = json.dumps({"model": "m"} | members).encode()
    result = parse(body)
    if isinstance(result, ParsedRequest):
        assert result.model == "m"
        assert result.stream is bool(members.get("stream"))
    else:
        assert result.code != "invalid_json"


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """An object with names in any spelling and space anywhere."""
    members = []
    for name in draw(st.lists(names, max_size=6)):
        spelled = "".join(f"\\u{ord(c):04x}" if draw(st.booleans()) else json.dumps(c)[1:-1] for c in name)
        members.append(f'{draw(spaces)}"{spelled}"{draw(spaces)}:{draw(spaces)}{json.dumps(draw(values))}{draw(spaces)}')
    return ("{" + ",".join(members) + "}").encode()


@given(objects())
def test_a_name_that_comes_twice_is_found_exactly_when_the_oracle_finds_it(body: bytes) -> None:
    pairs: list[list[str]] = []

    def note(members: list[tuple[str, object]]) -> dict[str, object]:
        pairs.append([name for name, _ in members])
        return dict(members)

    json.loads(body, object_pairs_hook=note)
    outermost = pairs[-1]  # the hook is called from the inside out
    twice = len(set(outermost)) < len(outermost)
    result = parse(body)
    assert (isinstance(result, ApiError) and result.code == "duplicate_parameter") == twice


@pytest.mark.parametrize("depth", [10, 500, 5_000, 500_000])
def test_any_depth(depth: int) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        parse(b'{"model":"m","messages":' + opening * depth + b"1" + closing * depth + b"}")
        parse(b'{"model":"m","messages":[{"content":[{"image_url":' + opening * depth + b"1" + closing * depth + b"}]}]}")
