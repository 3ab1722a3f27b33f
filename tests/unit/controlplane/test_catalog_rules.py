"""What a discovery makes of the catalog."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from controlplane.catalog.engine_list import Told
from controlplane.catalog.rules import MISSES, SEEN_PRECISION, ChangeOfModel, Discovery, Known, Status, canonical_id, reconcile, split_id, tidy

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LLAMA = Told("llama", 8192)
KNOWN = Known(UUID(int=1), Status.ACTIVE, 0, NOW, LLAMA)


def test_a_model_that_nobody_knew_is_new() -> None:
    assert reconcile([LLAMA], [], NOW) == Discovery((LLAMA,), ())


def test_the_same_again_changes_nothing() -> None:
    assert reconcile([LLAMA], [KNOWN], NOW + timedelta(seconds=10)) == Discovery((), ())


def test_that_it_was_seen_is_written_down_once_an_hour() -> None:
    later = NOW + SEEN_PRECISION
    (step,) = reconcile([LLAMA], [KNOWN], later).steps
    assert (step.kind, step.after) == (None, replace(KNOWN, last_seen_at=later))


def test_other_facts_are_an_update_with_before_and_after() -> None:
    longer = Told("llama", 131_072, capabilities=("chat",))
    (step,) = reconcile([longer], [KNOWN], NOW).steps
    assert step.kind is ChangeOfModel.UPDATED
    assert step.changes == {"contextTokens": [8192, 131_072], "capabilities": [(), ("chat",)]}
    assert step.after.told == longer


def test_a_model_is_deprecated_when_it_was_missed_some_times_in_a_row() -> None:
    model, kinds = KNOWN, []
    for _ in range(MISSES + 2):
        for step in reconcile([], [model], NOW).steps:
            model = step.after
            kinds.append(step.kind)
    assert kinds == [None] * (MISSES - 1) + [ChangeOfModel.DEPRECATED]
    assert (model.status, model.missed) == (Status.DEPRECATED, MISSES)


def test_one_that_is_told_in_between_was_never_gone() -> None:
    missed = replace(KNOWN, missed=MISSES - 1)
    (step,) = reconcile([LLAMA], [missed], NOW).steps
    assert (step.kind, step.after) == (None, KNOWN)


def test_one_that_is_told_again_returns() -> None:
    gone = replace(KNOWN, status=Status.DEPRECATED, missed=MISSES)
    found = reconcile([LLAMA], [gone], NOW)
    assert [(step.kind, step.after) for step in found.steps] == [(ChangeOfModel.RETURNED, KNOWN)]
    assert (found.count(ChangeOfModel.RETURNED), found.missing) == (1, 0)


def test_what_is_waited_for_is_counted() -> None:
    assert reconcile([], [KNOWN], NOW).missing == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu::meta-llama/Llama", ("gpu", "meta-llama/Llama")),
        ("gpu::a::b", ("gpu", "a::b")),
        ("llama", None),
        ("::x", None),
        ("gpu::", None),
        ("a:b", None),
    ],
)
def test_a_canonical_id_is_a_backend_and_its_own_name(text: str, expected: tuple[str, str] | None) -> None:
    assert split_id(text) == expected
    assert expected is None or canonical_id(*expected) == text


def test_words_have_one_form() -> None:
    assert tidy(["Vision", "chat", "vision"]) == ["chat", "vision"]
