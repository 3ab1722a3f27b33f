"""A JSON object as its members, each still undecoded. What two parsers could read differently, a name that comes twice, is refused. Pure."""

import msgspec

from ias.errors import ApiError, invalid_request

MAX_MEMBERS = 1_000
"""Members of one object. OpenAI's largest request has about 40."""


class _Name(str):
    """The name of a member. A type of its own, because msgspec tells its hook of each one, also of a second of the same name."""

    __slots__ = ()


class _MemberReader:
    """Splits an object into its members without decoding their values; one pass in C, and one call for each name."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=self._name)
        self._seen: set[str] = set()
        self._what: tuple[str, str | None] = ("", None)

    def read(self, raw: bytes, what: str, param: str | None = None) -> dict[str, msgspec.Raw]:
        """Return the members; raise a 400 for what is not an object, is not JSON, is too deep, or has a name twice."""
        self._seen.clear()
        self._what = (what, param)
        try:
            return self._decoder.decode(raw)  # type: ignore[return-value]  # a _Name is a str, but dict is invariant
        except msgspec.ValidationError as error:
            raise invalid_request(f"{what} must be a JSON object.", param, "invalid_type") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid_request(f"{what} is not valid JSON.", param, "invalid_json") from error
        except RecursionError as error:
            raise invalid_request(f"{what} is nested too deeply.", param, "invalid_json") from error

    def _name(self, _: type, name: str) -> _Name:
        if name in self._seen:
            raise _twice(name, *self._what)
        if len(self._seen) >= MAX_MEMBERS:
            raise invalid_request(f"{self._what[0]} has more than {MAX_MEMBERS} members.", self._what[1], "invalid_json")
        self._seen.add(name)
        return _Name(name)


read_members = _MemberReader().read


def _twice(name: str, what: str, param: str | None) -> ApiError:
    shown = name[:64]
    return invalid_request(f"{what} has the member '{shown}' twice.", param or shown, "duplicate_parameter")
