"""Our trimmed protos against Envoy's own types: same bytes, same meaning; and the generated code is that of the .proto files."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

import protos
from protos.ext_proc_pb2 import ProcessingRequest
from tests.conformance.envoy_types import OURS, envoy_auth, envoy_core, envoy_ext_proc, envoy_ratelimit, make_ours, make_theirs, theirs, trees

ROOT = Path(__file__).parents[2]
TYPE_NAMES = {number: name.removeprefix("TYPE_").lower() for name, number in vars(FieldDescriptor).items() if name.startswith("TYPE_")}


@pytest.mark.parametrize("name", OURS)
def test_fields_have_envoys_numbers_types_and_groups(name: str) -> None:
    metadata = theirs(OURS[name])._betterproto.meta_by_field_name
    for field in OURS[name].fields:
        their = metadata[field.name]
        ours = "map" if field.message_type and field.message_type.GetOptions().map_entry else TYPE_NAMES[field.type]
        envoys = "map" if their.map_meta else their.proto_type
        # An enum travels as the number that it is: ours of HTTP statuses is an int32.
        assert (field.number, ours.replace("enum", "int32")) == (their.number, envoys.replace("enum", "int32"))
        assert (field.containing_oneof.name if field.containing_oneof else None) == their.group


ENUMS = {enum.full_name: (name, field.name) for name, message in OURS.items() for field in message.fields if (enum := field.enum_type)}


@pytest.mark.parametrize(("name", "field"), ENUMS.values(), ids=ENUMS)
def test_enums_have_envoys_numbers(name: str, field: str) -> None:
    inner = theirs(OURS[name])._betterproto.cls_by_field[field]
    ours = OURS[name].fields_by_name[field].enum_type.values_by_name
    assert {value: inner[value].value for value in ours} == {value: descriptor.number for value, descriptor in ours.items()}


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=40)
@given(data=st.data())
def test_bytes_mean_the_same_on_both_sides(name: str, data: st.DataObject) -> None:
    message = OURS[name]
    tree = data.draw(trees(message))
    envoys, ours = make_theirs(theirs(message), message, tree), make_ours(message, tree)
    assert GetMessageClass(message).FromString(bytes(envoys)) == ours
    assert theirs(message).parse(ours.SerializeToString()) == envoys


@pytest.mark.parametrize("name", OURS)
@given(value=st.binary(max_size=50))
@settings(max_examples=10)
def test_fields_that_we_do_not_know_survive(name: str, value: bytes) -> None:
    unknown = b"\xa2\xe2\x09" + bytes([len(value)]) + value  # field 20004, length-delimited
    assert GetMessageClass(OURS[name]).FromString(unknown).SerializeToString() == unknown


def test_what_only_envoy_knows_passes_through_ours() -> None:
    request = envoy_ext_proc.ProcessingRequest(
        request_headers=envoy_ext_proc.HttpHeaders(
            headers=envoy_core.HeaderMap(headers=[envoy_core.HeaderValue(key=":path", raw_value=b"/v1/models")]), end_of_stream=True
        ),
        metadata_context=envoy_core.Metadata(),
        protocol_config=envoy_ext_proc.ProtocolConfiguration(send_body_without_waiting_for_header_response=True),
    )
    ours = ProcessingRequest.FromString(bytes(request))
    assert ours.request_headers.headers.headers[0].raw_value == b"/v1/models"
    assert envoy_ext_proc.ProcessingRequest.parse(ours.SerializeToString()) == request


def test_the_paths_are_those_that_envoy_calls() -> None:
    assert protos.CHECK in envoy_auth.AuthorizationBase().__mapping__()
    assert protos.PROCESS in envoy_ext_proc.ExternalProcessorBase().__mapping__()
    assert protos.SHOULD_RATE_LIMIT in envoy_ratelimit.RateLimitServiceBase().__mapping__()


def test_generated_code_is_current(tmp_path: Path) -> None:
    """The command of `make protos`, into another folder."""
    sources = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "protos").glob("*.proto"))
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", *sources], cwd=ROOT, check=True
    )
    made = {path.name: path.read_text() for path in (tmp_path / "protos").iterdir()}
    committed = {path.name: path.read_text() for path in (ROOT / "protos").iterdir() if path.name.endswith(("_pb2.py", "_pb2.pyi"))}
    assert made == committed
