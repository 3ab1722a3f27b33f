"""Versions in HTTP (RFC 9110 §8.8.3, §13.1.1): what was read carries an ETag, and who writes may say which version he has seen."""

import re
from typing import Annotated

from fastapi import Header

from controlplane.errors import Problem

IfMatch = Annotated[str | None, Header(description="the ETag of the version that was read; another one by now: 412")]


def etag(version: int) -> str:
    """Return the ETag of a version."""
    return f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """Return the version that a client expects; None: any. Raises Problem 412 for an ETag that is none of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    if (match := re.fullmatch(r'"(\d{1,18})"', if_match.strip())) is None:
        raise Problem(412, "version_conflict", "If-Match must be an ETag that this API gave out.")
    return int(match[1])


def check_version(expected: int | None, current: int, what: str) -> None:
    """Raise Problem 412 when a client expects another version than the current one."""
    if expected not in {None, current}:
        raise Problem(412, "version_conflict", f"The {what} changed meanwhile (version {current}): read it again, then change it.")
