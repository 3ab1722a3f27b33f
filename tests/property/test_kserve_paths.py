"""Paths of models: what is understood of one is all that an engine hears of it, and layers agree on the shape of errors."""

from hypothesis import given
from hypothesis import strategies as st

from extauth.kserve import engine_path, read_path
from extauth.operation import find_operation
from extauth.publications import PublicationIndex
from ias.endpoints import TOKENLESS, Endpoint
from ias.error_shapes import Shape, shape_of
from ias.errors import ApiError

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
versions = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True)
endpoints = st.sampled_from(sorted(TOKENLESS - {Endpoint.KSERVE_V1_STATUS}))
POSTED = {Endpoint.KSERVE_V1_PREDICT, Endpoint.KSERVE_V1_EXPLAIN, Endpoint.KSERVE_V2_INFER}
pieces = st.lists(st.sampled_from([*"/:%?.;a", "models", "v1", "v2", "infer", ":predict", "..", "%2f", "%2e", "versions", "iris"]), max_size=12)


@given(endpoints, names, st.just("") | versions)
def test_an_engine_understands_what_we_understood(endpoint: Endpoint, model: str, version: str) -> None:
    version = version if endpoint.startswith("kserve_v2") else ""
    path = engine_path(endpoint, model, version)
    assert path.isascii()
    assert path.count("/") == 3 + 2 * bool(version) + path.endswith(("/infer", "/ready")) * 1
    asked = read_path("POST" if endpoint in POSTED else "GET", path)
    assert asked is not None
    assert (asked.endpoint, asked.model, asked.version) == (endpoint, model, version)


@given(st.sampled_from(["GET", "POST"]), pieces.map("".join))
def test_what_is_let_through_names_one_model_and_one_operation(method: str, path: str) -> None:
    try:
        operation = find_operation(method, path, PublicationIndex())
    except ApiError:
        return
    if operation.endpoint in TOKENLESS:
        assert operation.model
        engine = engine_path(operation.endpoint, "up", operation.version)
        again = find_operation(method, engine, PublicationIndex())
        assert (again.endpoint, again.model, again.version) == (operation.endpoint, "up", operation.version)
        assert shape_of(path) is Shape.KSERVE
        assert shape_of(engine) is Shape.KSERVE
