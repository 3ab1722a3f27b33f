"""Step 2, the credential: find the API key in the three headers that clients use. Pure; no store is asked."""

from collections.abc import Mapping

from ias import headers as names
from ias.apikeys import ApiKey, parse_key
from ias.errors import invalid_api_key

_SCHEME = "bearer "


def presented_key(headers: Mapping[str, str]) -> ApiKey | None:
    """Return the well-formed key of a request, None where no credential was sent; raise `invalid_api_key` for a malformed one, or two that differ.

    A header that was sent twice arrives joined by a comma, which no key contains.
    """
    found = {_value(name, headers[name]) for name in names.CREDENTIALS if name in headers}
    if not found:
        return None
    if len(found) != 1 or (key := parse_key(found.pop())) is None:
        raise invalid_api_key()
    return key


def _value(name: str, value: str) -> str:
    if name != "authorization":
        return value.strip()
    return value[len(_SCHEME) :].strip() if value[: len(_SCHEME)].lower() == _SCHEME else ""
