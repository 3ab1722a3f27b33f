"""The REST client: JSON in, JSON out, every failure a CommandFailed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2

from ias_admin.config import DEFAULT_URL
from ias_admin.errors import CommandFailed, ExitCode, of_response

Json = Any
_TIMEOUT_S = 30
_SECRETS = frozenset({"password", "currentPassword", "newPassword", "apiKey", "token"})


class Previewed(Exception):
    """A dry run came to the request that would change something; secrets in its body are masked."""

    def __init__(self, method: str, path: str, body: Mapping[str, Json] | None) -> None:
        super().__init__(f"{method} {path}")
        masked = {name: "***" if name in _SECRETS else value for name, value in body.items()} if body else None
        self.request = {"method": method, "path": path, "body": masked}


class _AnswerLost(CommandFailed):
    """The connection broke after the request was sent: nobody knows whether it was done."""


class Client:
    """Calls one control plane with one token."""

    def __init__(self, url: str, token: str, transport: httpx2.BaseTransport | None = None, *, dry_run: bool = False) -> None:
        check_address(url)
        self._dry_run = dry_run
        headers = {"accept": "application/json", "user-agent": "ias-admin"} | ({"authorization": f"Bearer {token}"} if token else {})
        self._url = url
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S, transport=transport)

    def get(self, path: str, **query: str | int | Sequence[str] | None) -> Json:
        """Read an object."""
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Json] | None = None) -> Json:
        """Make an object, or ask for an action. It is done once, also where the connection breaks before the answer and it is asked for again."""
        headers = {"idempotency-key": str(uuid4())}
        try:
            response = self._send("POST", path, body, headers=headers)
        except _AnswerLost:
            response = self._send("POST", path, body, headers=headers)
        return _json_of(self._checked(response), self._url)

    def look(self, path: str, body: Mapping[str, Json]) -> Json:
        """Ask for something that needs a body and changes nothing: in a dry run, too."""
        return _json_of(self._checked(self._send("POST", path, body, changes=False)), self._url)

    def put(self, path: str, body: Mapping[str, Json]) -> Json:
        """Change an object."""
        return self._call("PUT", path, body)

    def change(self, path: str, change: Callable[[Json], Mapping[str, Json]]) -> Json:
        """Read an object and write what `change` makes of it; None: there is none yet. Conflict when somebody else was quicker."""
        response = self._send("GET", path)
        if response.status_code == 404:
            body, headers = change(None), {}
        else:
            body, headers = change(_json_of(self._checked(response), self._url)), {"if-match": response.headers.get("etag", "*")}
        return _json_of(self._checked(self._send("PUT", path, body, headers=headers)), self._url)

    def delete(self, path: str, **query: str | None) -> None:
        """Remove an object."""
        self._call("DELETE", path, query=query)

    def text(self, path: str, accept: str, **query: str | int | Sequence[str] | None) -> str:
        """Read a document that is not JSON, CSV for example."""
        params = {name: value for name, value in query.items() if value is not None}
        return self._checked(self._send("GET", path, params=params, headers={"accept": accept})).text

    def items(self, path: str, limit: int | None = None, **query: str | int | Sequence[str] | None) -> Iterator[Json]:
        """Walk a list page by page, at most `limit` items."""
        cursor, left = None, limit
        while left is None or left > 0:
            page = self.get(path, **query, cursor=cursor, limit=None if left is None else min(left, 200))
            yield from page["items"][:left]
            if left is not None:
                left -= len(page["items"])
            if (following := page.get("nextCursor")) in (None, cursor):
                return
            cursor = following

    def _call(self, method: str, path: str, body: Mapping[str, Json] | None = None, query: Mapping[str, Any] | None = None) -> Json:
        params = {name: value for name, value in (query or {}).items() if value is not None}
        return _json_of(self._checked(self._send(method, path, body, params)), self._url)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Json] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        changes: bool = True,
    ) -> httpx2.Response:
        if self._dry_run and method != "GET" and changes:
            raise Previewed(method, f"/api{path}", body)
        try:
            return self._http.request(method, f"/api{path}", json=body, params=params, headers=headers)
        except httpx2.TimeoutException as error:
            raise CommandFailed(f"{self._url} did not answer within {_TIMEOUT_S} s.", ExitCode.UNAVAILABLE) from error
        except (httpx2.ReadError, httpx2.RemoteProtocolError) as error:
            raise _AnswerLost(f"{self._url} broke the connection before it answered: {error}.", ExitCode.UNAVAILABLE) from error
        except httpx2.TransportError as error:
            raise CommandFailed(f"Cannot reach {self._url}: {error}. Is the control plane running there?", ExitCode.UNAVAILABLE) from error

    @staticmethod
    def _checked(response: httpx2.Response) -> httpx2.Response:
        if response.is_error:
            raise of_response(response)
        return response


def _json_of(response: httpx2.Response, url: str) -> Json:
    try:
        return response.json() if response.content else None
    except ValueError as error:
        raise CommandFailed(f"{url} does not answer like a control plane of IAS.") from error


def check_address(url: str) -> None:
    """Raise CommandFailed for what is no address of a control plane."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = None
    if parsed is None or parsed.scheme not in {"http", "https"} or not parsed.host:
        raise CommandFailed(f"'{url}' is not an address like {DEFAULT_URL}.", ExitCode.USAGE)


def segment(text: str) -> str:
    """One segment of a path: what a person typed never becomes another path."""
    if text in {"", ".", ".."}:
        raise CommandFailed(f"'{text}' is not a name.", ExitCode.USAGE)
    return quote(text, safe="")
