"""Labels that a client puts on a request: `x-request-tags: team=search,run=17`. They end in the usage event."""

import re

from ias.errors import invalid_request

MAX_PAIRS = 8
_PAIR = re.compile(r"([A-Za-z0-9_.:/-]{1,64})=([!-+\--~ ]{1,64})")
"""Value: printable ASCII without the comma, so that the context stays small."""


def parse_tags(header: str) -> dict[str, str]:
    """Read the pairs; raise a 400 for anything that is not `k=v,k=v` within the bounds, or that names a key twice."""
    pairs = header.split(",", MAX_PAIRS)
    tags: dict[str, str] = {}
    for pair in pairs:
        match = _PAIR.fullmatch(pair.strip())
        if match is None or match[1] in tags or len(tags) == MAX_PAIRS:
            raise invalid_request(
                f"The header x-request-tags must be 'key=value' pairs joined by commas: at most {MAX_PAIRS}, keys and values of 1 to 64 characters.",
                code="invalid_tags",
            )
        tags[match[1]] = match[2]
    return tags
