"""Labels that a client puts on a request: `x-request-tags: team=search,run=17`. They end in the usage event."""

from ias.errors import invalid_request
from ias.tags import MAX_PAIRS, parse_pair


def parse_tags(header: str) -> dict[str, str]:
    """Read the pairs; raise a 400 for anything that is not `k=v,k=v` within the bounds, or that names a key twice."""
    tags: dict[str, str] = {}
    for text in header.split(",", MAX_PAIRS):
        pair = parse_pair(text.strip())
        if pair is None or pair[0] in tags or len(tags) == MAX_PAIRS:
            raise invalid_request(
                f"The header x-request-tags must be 'key=value' pairs joined by commas: at most {MAX_PAIRS}, keys and values of 1 to 64 characters.",
                code="invalid_tags",
            )
        tags[pair[0]] = pair[1]
    return tags
