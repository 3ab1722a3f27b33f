"""Answers in a content coding: read as if there were none, passed as they are, and never more than a little of them at once."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from extproc.decoding import BLOCK_BYTES, Undecodable, new_decoder
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, UsageSource
from tests.support.engine_bytes import DONE, completion, delta, sse, usage_chunk
from tests.support.ext_proc import PASS, READ_STREAMED, Playbook, chunk, last, request_body, request_headers, response_headers, some_context

STREAM = sse(delta("a")) * 3 + sse(usage_chunk(prompt=7, completion=3)) + DONE


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


def in_two_members(data: bytes) -> bytes:
    return gzip.compress(data[:50]) + gzip.compress(data[50:])


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", in_two_members),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("ZSTD", zstandard.compress),
]


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@pytest.mark.parametrize("step", [1, 10_000])
def test_a_coded_stream_passes_untouched_and_is_counted(coding: str, encode: Callable[[bytes], bytes], step: int) -> None:
    played = Playbook() >> request_headers(some_context(add_usage=True)) >> request_body(b"{}")
    played = played >> response_headers(200, content_encoding=coding) << READ_STREAMED
    coded = encode(STREAM)
    for start in range(0, len(coded), step):
        played = played >> chunk(coded[start : start + step]) << PASS
    event = (played >> last() << PASS).event
    assert (event.outcome, event.input_tokens, event.output_tokens, event.usage_source) == (Outcome.COMPLETE, 7, 3, UsageSource.REPORTED)


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
def test_a_coded_json_answer_is_read(coding: str, encode: Callable[[bytes], bytes]) -> None:
    played = Playbook() >> request_headers(some_context(stream=False, endpoint=Endpoint.EMBEDDINGS))
    played = played >> response_headers(200, "application/json", content_encoding=coding) << READ_STREAMED >> last(encode(completion())) << PASS
    assert (played.event.input_tokens, played.event.output_tokens) == (11, 3)


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
def test_bytes_that_are_not_in_their_coding_pass_and_what_came_before_counts(coding: str, encode: Callable[[bytes], bytes]) -> None:
    played = Playbook() >> request_headers(some_context()) >> response_headers(200, content_encoding=coding)
    played = played >> chunk(b"this is no coding at all") << PASS >> chunk(encode(STREAM)) << PASS >> last() << PASS
    assert (played.event.outcome, played.event.usage_source) == (Outcome.COMPLETE, UsageSource.ESTIMATED)


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzip.compress(bytes(32 << 20))),
        ("deflate", zlib.compress(bytes(32 << 20))),
        ("br", brotli.compress(bytes(32 << 20), quality=1)),
        ("zstd", zstandard.compress(bytes(32 << 20))),
    ],
)
def test_a_bomb_goes_off_in_small_pieces_and_not_to_its_end(coding: str, bomb: bytes) -> None:
    blocks: list[int] = []
    decoder = new_decoder(coding, lambda block: blocks.append(len(block)), limit=16 << 20)
    with pytest.raises(Undecodable, match="decodes to too much"):
        decoder.feed(bomb)
    assert max(blocks) <= 2 * BLOCK_BYTES
    assert sum(blocks) <= 16 << 20


def test_a_zstd_window_that_no_server_of_http_may_use_is_refused() -> None:
    wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compressobj()
    with pytest.raises(Undecodable):
        new_decoder("zstd", lambda _: None).feed(wide.compress(bytes(1000)) + wide.flush())


@pytest.mark.parametrize("coding", ["compress", "gzip, br", "", "identity"])
def test_other_codings_are_not_known(coding: str) -> None:
    with pytest.raises(Undecodable):
        new_decoder(coding, lambda _: None)
