"""Huffman strings of HPACK (RFC 7541 §5.2), a byte at a time: a quarter of what `hpack` needs for a `traceparent`.

A node of the code tree is a table from the next byte to (the node reached, the text passed on the way). Its entries are made
when they are first needed; there are at most 256 nodes of 256 entries, for all connections together.
"""

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_EOS = 256


class _Node(dict[int, "tuple[_Node, bytes]"]):
    """An inner node of the code tree. `is_padding`: the way from the root here is up to seven ones."""

    __slots__ = ("branches", "is_padding")

    def __init__(self) -> None:
        super().__init__()
        self.branches: list[_Node | int | None] = [None, None]
        self.is_padding = False

    def __missing__(self, byte: int) -> "tuple[_Node, bytes]":
        node, text = self, bytearray()
        for shift in range(7, -1, -1):
            branch = node.branches[byte >> shift & 1]
            if isinstance(branch, _Node):
                node = branch
            elif branch is None or branch == _EOS:
                raise ValueError("the end symbol in the middle of a Huffman string")
            else:
                text.append(branch)
                node = _ROOT
        self[byte] = entry = (node, bytes(text))
        return entry


def _tree() -> _Node:
    root = _Node()
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        node = root
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            branch = node.branches[bit]
            if not isinstance(branch, _Node):
                branch = node.branches[bit] = _Node()
            node = branch
        node.branches[code & 1] = symbol
    node = root
    for _ in range(8):  # the empty padding and those of one to seven bits
        node.is_padding = True
        branch = node.branches[1]
        assert isinstance(branch, _Node)
        node = branch
    return root


_ROOT = _tree()


def decode(encoded: bytes) -> bytes:
    """The text; raise ValueError for the end symbol or wrong padding."""
    node = _ROOT
    parts = []
    for byte in encoded:
        node, text = node[byte]
        parts.append(text)
    if not node.is_padding:
        raise ValueError("wrong padding of a Huffman string")
    return b"".join(parts)
