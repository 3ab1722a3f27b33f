"""The description of publishing: what is done is taken back in the opposite order, and nothing that was not begun."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.publishing.canary import Seen, meaning, probes, read_error
from controlplane.publishing.saga import PUBLISH, Step, advice_for, to_take_back


@given(st.sampled_from(Step))
def test_what_was_begun_is_taken_back_last_first(reached: Step) -> None:
    begun = [stage.step for stage in PUBLISH[: list(Step).index(reached) + 1]]
    back = list(to_take_back(reached))
    assert back == [step for step in reversed(begun) if step in back]
    assert {stage.step for stage in PUBLISH if stage.undone_by and stage.step in begun} == set(back)


@pytest.mark.parametrize("unknown", [None, "a-step-of-tomorrow"])
def test_of_another_version_everything_is_taken_back(unknown: str | None) -> None:
    assert to_take_back(unknown) == to_take_back(Step.PUBLISHED)


def test_every_step_is_there_once_and_says_what_to_do() -> None:
    assert [stage.step for stage in PUBLISH] == list(Step)
    assert all(advice_for(step) for step in Step)


@pytest.mark.parametrize(
    ("status", "code", "seen"),
    [
        (200, "", Seen.REACHED),
        (401, "invalid_api_key", Seen.NOT_YET),
        (404, "model_not_found", Seen.NOT_YET),
        (404, "404", Seen.OTHER),
        (400, "", Seen.OTHER),
        (503, "service_unavailable", Seen.NOT_YET),
        (429, "rate_limit_exceeded", Seen.LIMITED),
        (500, "", Seen.FAILED),
        (302, "", Seen.FAILED),
        (504, "upstream_timeout", Seen.FAILED),
    ],
)
def test_what_an_answer_means(status: int, code: str, seen: Seen) -> None:
    assert meaning(status, code) is seen


def test_the_likeliest_request_comes_first_and_costs_one_token() -> None:
    assert [probe.name for probe in probes("chat", "m")] == ["chat", "embeddings", "completions"]
    assert probes("embeddings", "m")[0].name == "embeddings"
    assert {probe.body["max_tokens"] for probe in probes("chat", "m") if probe.body and "max_tokens" in probe.body} == {1}
    assert all(probe.body is None for probe in probes("traditional", "m"))


@given(st.binary(max_size=60))
def test_no_body_is_too_strange(body: bytes) -> None:
    read_error(body)


def test_error_bodies_of_all_kinds() -> None:
    assert read_error(b'{"error":{"code":"model_not_found","message":"no"}}') == ("model_not_found", "no")
    assert read_error(b'{"error":{"code":404,"message":"no"}}') == ("404", "no")
    assert read_error(b'{"error":"no"}') == ("", "no")
