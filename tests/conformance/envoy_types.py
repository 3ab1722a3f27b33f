"""Envoy's own types (envoy-data-plane) beside ours, message by message, and values for both."""

import warnings
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import betterproto2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.wrappers_pb2 import UInt64Value
from hypothesis import strategies as st
from pydantic.warnings import PydanticDeprecatedSince212

from protos import auth_pb2, base_pb2, ext_proc_pb2, ratelimit_pb2

with warnings.catch_warnings():
    # Its generated code is older than pydantic 2.12.
    warnings.simplefilter("ignore", PydanticDeprecatedSince212)
    from envoy_data_plane.envoy.config.core import v3 as envoy_core
    from envoy_data_plane.envoy.extensions.common.ratelimit import v3 as envoy_ratelimit_common
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as envoy_ext_proc_filter
    from envoy_data_plane.envoy.service.auth import v3 as envoy_auth
    from envoy_data_plane.envoy.service.ext_proc import v3 as envoy_ext_proc
    from envoy_data_plane.envoy.service.ratelimit import v3 as envoy_ratelimit
    from envoy_data_plane.envoy.type import v3 as envoy_type
    from envoy_data_plane.google import rpc as google_rpc

_HOMES: dict[str, list[ModuleType]] = {
    "ias.envoy.auth": [envoy_auth],
    "ias.envoy.base": [envoy_core, envoy_type, google_rpc],
    "ias.envoy.ext_proc": [envoy_ext_proc, envoy_ext_proc_filter],
    "ias.envoy.ratelimit": [envoy_ratelimit, envoy_ratelimit_common],
}
_RENAMED = {"RpcStatus": "Status"}

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, (1 << 32) - 1),
}
_WELL_KNOWN: dict[str, st.SearchStrategy[Any]] = {
    Duration.DESCRIPTOR.full_name: st.timedeltas(timedelta(0), timedelta(days=10_000)),
    UInt64Value.DESCRIPTOR.full_name: st.integers(0, (1 << 64) - 1),
}
"""Google's own messages, which betterproto2 reads as values of Python's."""
Tree = dict[str, Any]
"""The value of a message: fields by name, nested; fields that are not set are absent."""


def _with_nested(messages: Any) -> Iterator[Descriptor]:
    for descriptor in messages:
        if not descriptor.GetOptions().map_entry:
            yield descriptor
            yield from _with_nested(descriptor.nested_types)


OURS: dict[str, Descriptor] = {
    descriptor.full_name: descriptor
    for module in (auth_pb2, base_pb2, ext_proc_pb2, ratelimit_pb2)
    for descriptor in _with_nested(module.DESCRIPTOR.message_types_by_name.values())
}


def theirs(ours: Descriptor) -> type[betterproto2.Message]:
    """Envoy's type for one of ours; its nested types are named with their parents before them."""
    package = ours.file.package
    name = ours.full_name.removeprefix(package + ".")
    for module in _HOMES[package]:
        if found := getattr(module, _RENAMED.get(name, name.replace(".", "")), None):
            return found  # type: ignore[no-any-return]
    raise LookupError(ours.full_name)


def trees(message: Descriptor) -> st.SearchStrategy[Tree]:
    """Any value of a message: each field set or not, at most one of a oneof."""
    single = {field.name: _values(field) for field in message.fields if field.containing_oneof is None}
    strategy = st.fixed_dictionaries({}, optional=single)
    for oneof in message.oneofs:
        chosen = st.just({}) | st.one_of([st.fixed_dictionaries({field.name: _values(field)}) for field in oneof.fields])
        strategy = st.builds(lambda fields, choice: {**fields, **choice}, strategy, chosen)
    return strategy


def _values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return st.dictionaries(_TEXT, _TEXT, max_size=3)
    if field.message_type and field.message_type.full_name in _WELL_KNOWN:
        one: st.SearchStrategy[Any] = _WELL_KNOWN[field.message_type.full_name]
    elif field.message_type:
        one = st.deferred(lambda: trees(field.message_type))
    elif field.enum_type:
        one = st.sampled_from([value.number for value in field.enum_type.values])
    else:
        one = _SCALARS[field.type]
    return st.lists(one, max_size=3) if field.is_repeated else one


def make_ours(message: Descriptor, tree: Tree) -> Message:
    """Build our message from a tree."""
    made = GetMessageClass(message)()
    for name, value in tree.items():
        field, target = message.fields_by_name[name], getattr(made, name)
        if field.message_type is None:
            target.extend(value) if field.is_repeated else setattr(made, name, value)
        elif field.message_type.GetOptions().map_entry:
            target.update(value)
        elif isinstance(value, timedelta):
            target.FromTimedelta(value)
            target.SetInParent()
        elif field.message_type.full_name in _WELL_KNOWN:
            target.value = value
            target.SetInParent()
        elif field.is_repeated:
            target.extend(make_ours(field.message_type, one) for one in value)
        else:
            target.CopyFrom(make_ours(field.message_type, value))
            target.SetInParent()
    return made


def make_theirs(cls: type[betterproto2.Message], message: Descriptor, tree: Tree) -> betterproto2.Message:
    """Build Envoy's message from the same tree."""
    fields = {}
    for name, value in tree.items():
        field, inner = message.fields_by_name[name], cls._betterproto.cls_by_field[name]
        if field.enum_type:
            fields[name] = inner(value)
        elif field.message_type is None or field.message_type.GetOptions().map_entry or field.message_type.full_name in _WELL_KNOWN:
            fields[name] = value
        elif field.is_repeated:
            fields[name] = [make_theirs(inner, field.message_type, one) for one in value]
        else:
            fields[name] = make_theirs(inner, field.message_type, value)
    return cls(**fields)
