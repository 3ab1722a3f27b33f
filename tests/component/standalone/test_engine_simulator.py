"""The simulator over HTTP: what a client sees, and that the counters are exactly what was generated."""

import base64
import gzip
import json
import re
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import brotli
import httpx2
import openai
import pytest
import zstandard

from standalone.engine_simulator.meters import Entry, read_journal
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

    def aborted(self) -> int:
        text = self.http.get("/metrics").text
        match = re.search(r'^vllm:request_success_total\{[^}]*finished_reason="abort"[^}]*model_name="a"[^}]*\} (\S+)$', text, re.MULTILINE)
        return round(float(match[1])) if match else 0


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


def test_the_official_client_understands_responses(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    client = openai.OpenAI(base_url=f"{simulator.url}/v1", api_key="none", max_retries=0)
    whole = client.responses.create(model="a", input="one two three", max_output_tokens=4)
    assert (whole.status, len(whole.output_text.split())) == ("incomplete", 4)
    events = list(client.responses.create(model="a", input="one two three", stream=True, extra_headers={"x-engine-simulate": "reasoning=3,cached=2"}))
    assert events[-1].type == "response.completed"
    usage = events[-1].response.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (PROMPT, 10)
    assert (usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens) == (2, 3)
    assert len(events[-1].response.output_text.split()) == 7
    assert counted() == (2 * PROMPT, 14)


def test_messages(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    text = simulator.post({"max_tokens": 4, "stream": True}, path="/v1/messages").text
    events = [dict(line.split(": ", 1) for line in event.split("\n")) for event in text.split("\n\n") if event]
    assert (events[0]["event"], events[-1]["event"]) == ("message_start", "message_stop")
    delta = json.loads(events[-2]["data"])
    assert (delta["delta"]["stop_reason"], delta["usage"]["output_tokens"]) == ("max_tokens", 4)
    whole = simulator.post({"max_tokens": 4}, path="/v1/messages").json()
    assert whole["usage"]["output_tokens"] == 4
    assert simulator.post({"model": "c", "max_tokens": 4}, path="/v1/messages").json()["error"]["type"] == "not_found_error"
    assert counted() == (2 * PROMPT, 8)


DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("encoding", DECODE)
@pytest.mark.parametrize("split", ["", ",split=7"])
def test_a_coded_answer(encoding: str, split: str, simulator: Simulator) -> None:
    plain = simulator.post({"stream": True}).text

    def raw(body: dict[str, Any]) -> str:
        headers = {"x-engine-simulate": f"encoding={encoding}{split}"}
        with simulator.http.stream("POST", "/v1/chat/completions", json={"model": "a", "messages": CHAT, **body}, headers=headers) as answer:
            assert answer.headers["content-encoding"] == encoding
            return DECODE[encoding](b"".join(answer.iter_raw())).decode()

    varies = re.compile(r'"id":"[^"]*"|"created":\d+')
    assert varies.sub("", raw({"stream": True})) == varies.sub("", plain)
    assert json.loads(raw({}))["usage"]["completion_tokens"] == 10


def test_interim_answers_and_trailers(simulator: Simulator) -> None:
    """Read from the socket: HTTP clients hide them."""
    body = json.dumps({"model": "a", "messages": CHAT, "max_tokens": 1}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nx-engine-simulate: early,trailers\r\nconnection: close"
    address = urlsplit(simulator.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 103 ")
    assert b"HTTP/1.1 200 " in answer
    assert answer.endswith(b"0\r\nx-engine-trailer: 1\r\n\r\n")


def test_a_reset_at_any_byte(simulator: Simulator) -> None:
    seen = b""

    def read() -> None:
        nonlocal seen
        headers = {"x-engine-simulate": "reset_byte=333,split=50,split_ms=1"}
        with simulator.http.stream("POST", "/v1/chat/completions", json={"model": "a", "messages": CHAT, "stream": True}, headers=headers) as answer:
            for piece in answer.iter_raw():
                seen += piece

    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        read()
    assert len(seen) == 333


def test_an_error_inside_a_stream(simulator: Simulator, counted: Callable[[], tuple[int, int]]) -> None:
    text = simulator.post({"stream": True}, "error_after=4").text
    *_, error, done = [line for line in text.split("\n\n") if line]
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == 500
    assert done == "data: [DONE]"
    assert counted() == (PROMPT, 3)


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
    aborted_before = simulator.aborted()
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
    assert simulator.aborted() == aborted_before + 1


def test_the_journal_says_what_each_request_cost(tmp_path: Path) -> None:
    for url in run("--models", "a", "--pace-ms", "5", "--journal", str(tmp_path / "journal")):
        simulator = Simulator(url)
        simulator.http.headers["x-request-id"] = "request-1"
        simulator.post({"n": 2, "max_tokens": 3})
        simulator.http.headers["x-request-id"] = "request-2"
        with pytest.raises(httpx2.ReadTimeout):
            simulator.http.post(
                "/v1/chat/completions",
                json={"model": "a", "messages": CHAT, "stream": True},
                headers={"x-engine-simulate": "stall_after=3,overrun=2"},
                timeout=0.5,
            )
        until(lambda: len(read_journal(tmp_path / "journal")) == 2)
        path = "/v1/chat/completions"
        assert read_journal(tmp_path / "journal") == [
            Entry("request-1", "a", path, PROMPT, 6, "length"),
            Entry("request-2", "a", path, PROMPT, 4, "abort"),
        ]
        simulator.http.close()


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
