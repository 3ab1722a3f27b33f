"""HMAC-SHA-256 by the test cases of RFC 4231 §4, each key used more than once."""

import pytest

from ias.keyed_digest import hmac_sha256

CASES = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
]


@pytest.mark.parametrize(("key", "message", "digest"), CASES)
def test_the_digest_of_a_message_does_not_depend_on_those_before(key: bytes, message: bytes, digest: str) -> None:
    hmac_sha256(key, b"another message")
    assert [hmac_sha256(key, message).hex() for _ in range(2)] == [digest] * 2
