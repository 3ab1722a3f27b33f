"""The simulator over HTTP: what a client sees, and that the counters are exactly what was generated."""

import base64
import json
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest

from standalone.ports import reserve

CHAT: list[Any] = [{"role": "user", "content": "one two three"}]
PROMPT = 3 + 4


class Simulator:
    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=url, timeout=10)

    def post(self, body: dict[str, Any], simulate: str = "", path: str = "/v1/chat/completions") -> httpx2.Response:
        return self.http.post(path, json={"model": "a", "messages": CHAT, **body}, headers={"x-engine-simulate": simulate})

    def stream(self, body: dict[str, Any], simulate: str = "") -> list[Any]:
        lines = [line for line in self.post({"stream": True, **body}, simulate).text.split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    def counters(self, model: str = "a") -> tuple[int, int, int]:
        text = self.http.get("/metrics").text

        def value(name: str) -> int:
            match = re.search(rf'^vllm:{name}\{{[^}}]*model_name="{model}"[^}}]*\}} (\S+)$', text, re.MULTILINE)
            return round(float(match[1])) if match else 0

        return value("prompt_tokens_total"), value("generation_tokens_total"), value("num_requests_running")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    yield from run("--models", "a,b", "--pace-ms", "0", "--tokens", "10")


def run(*arguments: str) -> Iterator[str]:
    port = reserve("127.0.0.1")
    process = subprocess.Popen([sys.executable, "-m", "standalone.engine_simulator", "--listen", str(port), *arguments])
    try:
        until(lambda: answers(port.url))
        yield port.url
    finally:
        process.terminate()
        process.wait(10)
        port.holder.close()


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health").status_code == 200
    except httpx2.TransportError:
        return False


def until(probe: Callable[[], Any], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def simulator(server: str) -> Iterator[Simulator]:
    """Each test sees counters that nobody else moves: the last test's requests are over."""
    simulator = Simulator(server)
    until(lambda: simulator.counters()[2] == 0)
    yield simulator
    simulator.http.close()


@pytest.fixture
def counted(simulator: Simulator) -> Callable[[], tuple[int, int]]:
    prompts, generated, _ = simulator.counters()

    def since() -> tuple[int, int]:
        until(lambda: simulator.counters()[2] == 0)
        return simulator.counters()[0] - prompts, simulator.counters()[1] - generated

    return since


def test_a_stream(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    chunks = simulator.stream({})
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(chunks) == 1 + 10
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 10 + ["stop"]
    assert not any("usage" in chunk for chunk in chunks)
    assert counted() == (PROMPT, 10)


def test_a_stream_with_usage(simulator: Simulator) -> None:
    *before, last = simulator.stream({"stream_options": {"include_usage": True}})
    assert not any("usage" in chunk for chunk in before)
    assert (last["choices"], last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == ([], PROMPT, 10)


def test_continuous_usage(simulator: Simulator) -> None:
    chunks = simulator.stream({"stream_options": {"include_usage": True, "continuous_usage_stats": True}})
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [*range(11), 10]


def test_several_choices(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    chunks = simulator.stream({"n": 3, "max_completion_tokens": 2, "stream_options": {"include_usage": True}})
    assert sorted(chunk["choices"][0]["index"] for chunk in chunks[:-1]) == [0] * 3 + [1] * 3 + [2] * 3
    assert chunks[-1]["usage"]["completion_tokens"] == 6
    assert counted() == (PROMPT, 6)


def test_an_answer_that_is_not_streamed(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    answer = simulator.post({"max_tokens": 4})
    body = answer.json()
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert (body["choices"][0]["finish_reason"], len(body["choices"][0]["message"]["content"].split())) == ("length", 4)
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == counted() == (PROMPT, 4)


def test_the_official_client_understands_everything(simulator: Simulator) -> None:
    client = openai.OpenAI(base_url=f"{simulator.url}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == ["a", "b"]
    assert client.completions.create(model="a", prompt="x", max_tokens=3).usage.completion_tokens == 3  # type: ignore[union-attr]
    assert len(client.embeddings.create(model="a", input=["x", "y"], dimensions=8).data[1].embedding) == 8
    with pytest.raises(openai.NotFoundError, match="The model `c` does not exist"):
        client.chat.completions.create(model="c", messages=CHAT)


def test_embeddings_count_the_prompt_only(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    floats = simulator.post({"input": ["one two", "three"]}, path="/v1/embeddings").json()
    packed = simulator.post({"input": ["one two", "three"], "encoding_format": "base64"}, path="/v1/embeddings").json()
    assert floats["usage"] == {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0}
    values = struct.unpack("<64f", base64.b64decode(packed["data"][1]["embedding"]))
    assert values == pytest.approx(floats["data"][1]["embedding"], abs=1e-6)
    assert counted() == (6, 0)


@pytest.mark.parametrize(
    ("body", "simulate", "status"),
    [
        ({"model": "c"}, "", 404),
        ({"model": None}, "", 404),
        ({"messages": 1}, "", 400),
        ({"stream_options": {"include_usage": True}}, "", 400),
        ({}, "nonsense=1", 400),
        ({}, "status=503", 503),
        ({"stream": True}, "status=429", 429),
    ],
)
def test_errors_generate_nothing(
    body: dict[str, Any], simulate: str, status: int, simulator: Simulator, counted: Callable[[], tuple[int, int]]
) -> None:
    answer = simulator.post(body, simulate)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)
    assert counted() == (0, 0)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_request(content: bytes, simulator: Simulator) -> None:
    assert simulator.http.post("/v1/chat/completions", content=content).status_code == 400


@pytest.mark.parametrize("stream", [True, False])
def test_a_reset_before_the_answer(stream: bool, simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        simulator.post({"stream": stream}, "reset_after=0")
    assert counted() == (0, 0)


def test_a_reset_in_the_stream_comes_after_exactly_so_many_chunks(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    seen = b""

    def read() -> None:
        nonlocal seen
        headers = {"x-engine-simulate": "reset_after=4,pace_ms=20"}
        with simulator.http.stream("POST", "/v1/chat/completions", json={"model": "a", "messages": CHAT, "stream": True}, headers=headers) as answer:
            for piece in answer.iter_raw():
                seen += piece

    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        read()
    assert seen.count(b"data: ") == 4
    assert counted() == (PROMPT, 3)


@pytest.mark.parametrize("stream", [True, False])
def test_generation_stops_when_the_client_goes(stream: bool, simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        simulator.http.post(
            "/v1/chat/completions",
            json={"model": "a", "messages": CHAT, "stream": stream},
            headers={"x-engine-simulate": "tokens=1000,pace_ms=50" if not stream else "tokens=1000,pace_ms=50,stall_after=3"},
            timeout=0.4,
        )
    prompts, generated = counted()
    assert prompts == PROMPT
    assert 0 < generated < 20
    if stream:
        assert generated == 2, "the role has no token"


@pytest.mark.parametrize("simulate", ["stall_before", "slow_headers_ms=60000"])
def test_a_client_does_not_wait_for_ever(simulate: str, simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        simulator.http.post("/v1/chat/completions", json={"model": "a"}, headers={"x-engine-simulate": simulate}, timeout=0.2)
    assert counted() == (0, 0)


def test_any_model_if_told_so() -> None:
    for url in run("--wildcard-models"):
        simulator = Simulator(url)
        assert simulator.post({"model": "model-4711", "max_tokens": 2}).status_code == 200
        assert simulator.counters("model-4711")[1] == 2
        assert simulator.post({"model": ""}).status_code == 404
        simulator.http.close()
