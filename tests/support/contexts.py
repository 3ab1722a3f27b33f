"""Hypothesis strategies for what crosses processes: contexts, events, spool records."""

import msgspec
from hypothesis import strategies as st

from ias.context import AdmissionMode, RequestContext
from ias.endpoints import Endpoint
from ias.ids import uuid7
from ias.spool_format import Closed, Grown, Opened, Owed, Settled
from ias.usage_event import Outcome, RequestRecorded, UsageSource

times_ms = st.integers(0, (1 << 48) - 1)
ids = st.builds(lambda ms, bits: str(uuid7(ms, bits)), times_ms, st.integers(0, (1 << 80) - 1))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
counts = st.integers(0, 1 << 53)
tags = st.dictionaries(texts, texts, max_size=3)

_by_type = {
    str: texts,
    bool: st.booleans(),
    int: counts,
    dict[str, str]: tags,
    list[str]: st.lists(texts, max_size=3),
    Endpoint: st.sampled_from(Endpoint),
    AdmissionMode: st.sampled_from(AdmissionMode),
}


def _builds(struct: type[msgspec.Struct], **special: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Every field has a strategy: a field that is added without one fails here."""
    fields = {field.name: special[field.name] if field.name in special else _by_type[field.type] for field in msgspec.structs.fields(struct)}
    return st.builds(struct, **fields)


contexts = _builds(RequestContext, reservation_id=ids)
events = _builds(
    RequestRecorded,
    event_id=ids,
    outcome=st.sampled_from(Outcome),
    usage_source=st.sampled_from(UsageSource),
    time_to_first_token_ms=st.none() | counts,
)
owed = _builds(Owed)
records = st.one_of(st.builds(Opened, contexts, times_ms), st.builds(Closed, events, st.none() | owed), owed, _builds(Grown), _builds(Settled))
