"""How a command ends: exit codes that scripts can rely on, and problems of the API as plain sentences."""

from enum import IntEnum

import httpx2


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    AUTH = 3
    NOT_FOUND = 4
    CONFLICT = 5
    UNAVAILABLE = 6


class CommandFailed(Exception):
    """Ends a command: the message goes to stderr."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


_BY_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.AUTH,
    403: ExitCode.AUTH,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    412: ExitCode.CONFLICT,
    422: ExitCode.USAGE,
    429: ExitCode.UNAVAILABLE,
    502: ExitCode.UNAVAILABLE,
    503: ExitCode.UNAVAILABLE,
    504: ExitCode.UNAVAILABLE,
}


ADVICE = {
    "ALREADY_PUBLISHED": "Change it: ias-admin model update",
    "INVALID_TENANT": "See which there are: ias-admin org list",
    "MODEL_NOT_FOUND": "See which there are: ias-admin backend list",
    "NOT_PUBLISHED": "See which are: ias-admin model list",
    "invalid_token": "Sign in: ias-admin login",
}
"""What to do by a command, where the API's own words name its routes."""


def of_response(response: httpx2.Response) -> CommandFailed:
    """Turn an answer of 400 or above into a sentence; RFC 9457 problem details have `detail` and our stable `code`."""
    exit_code = _BY_STATUS.get(response.status_code, ExitCode.FAILURE)
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "detail" not in problem:
        return CommandFailed(f"{response.request.url.copy_with(query=None)} answered {response.status_code} {response.reason_phrase}.", exit_code)
    code = problem.get("code", response.status_code)
    sentence = f"{problem['detail']} ({code})"
    if code == "invalid_token" and "authorization" not in response.request.headers:
        sentence = f"You are not signed in to {response.request.url.copy_with(raw_path=b'')}."
    return CommandFailed("\n".join(filter(None, (sentence, ADVICE.get(code)))), exit_code)
