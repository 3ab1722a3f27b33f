"""Hostnames and paths of publications: one spelling for each, none that the gateway answers itself, none inside another's. Pure."""

import re
from collections.abc import Collection

import idna

from controlplane.errors import Problem

MAX_HOSTNAME = 253
MAX_PATH = 256
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PATH = re.compile(r"/[A-Za-z0-9._~:/-]+")

RESERVED = frozenset(
    {
        *("v1", "v2", "models"),  # the inference protocols' own
        *("api", "portal", "docs", "redoc", "openapi.json"),  # where a portal may stand behind the same name
        *("metrics", "stats", "health", "healthz", "livez", "readyz", "ready", "admin", "config_dump"),
        *("inference.GRPCInferenceService", "grpc.health.v1.Health"),
        ".well-known",
    }
)
"""First segments that no publication may take; below `models` each may have its own name."""
_OWN = ("/models/{}", "/v1/models/{}", "/v2/models/{}")


def canonical_hostname(text: str) -> str:
    """Return a hostname as clients send it: A-labels (IDNA 2008, UTS 46) in lower case, no port, no dot at the end. Raises ValueError."""
    if re.search(r"[\s:/?#@\[\]%*\\]", text):
        raise ValueError("a hostname alone is needed, without scheme, port, path or '*'")
    name = text.removesuffix(".")
    try:
        ascii_name = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValueError(f"not a hostname: {error}") from error
    if len(ascii_name) > MAX_HOSTNAME or not all(_LABEL.fullmatch(label) for label in ascii_name.split(".")):
        raise ValueError("a hostname has labels of 1 to 63 letters, digits and '-', separated by dots")
    return ascii_name


def canonical_pattern(text: str) -> str:
    """Return an entry of an org's list: a hostname, or `*.` and a hostname for all below it. Raises ValueError."""
    return f"*.{canonical_hostname(text.removeprefix('*.'))}" if text.startswith("*.") else canonical_hostname(text)


def canonical_path(text: str) -> str:
    """Return a path in the form in which Envoy shows it to rules, without a slash at its end. Raises ValueError.

    Nothing is escaped in it, so that no other spelling of it exists: escaped slashes are refused at the edge anyhow.
    """
    path = text.removesuffix("/")
    if len(path) > MAX_PATH or not _PATH.fullmatch(path):
        raise ValueError("a path begins with '/' and has letters, digits and '._~:-', nothing escaped")
    if any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise ValueError("a path without empty, '.' and '..' segments is needed")
    return path


def check_path(path: str, model: str) -> None:
    """Raise Problem for a path that the gateway answers itself, or that is another model's by its name."""
    if path in {own.format(model) for own in _OWN}:
        return
    first = path[1:].partition("/")[0]
    if first in RESERVED:
        raise Problem(
            422,
            "RESERVED_PATH",
            f"The gateway itself answers below '/{first}'. Choose another externalPath, or '/models/{model}', or leave it out.",
        )


def check_hostname(hostname: str | None, allowed: Collection[str] | None) -> None:
    """Raise Problem for a hostname that an org may not use; no list: it may use every one."""
    if hostname is None or allowed is None or any(_matches(hostname, pattern) for pattern in allowed):
        return
    names = ", ".join(sorted(allowed)[:5]) or "none"
    raise Problem(422, "HOSTNAME_NOT_ALLOWED", f"The tenant may not use the hostname '{hostname}', but: {names}. A System Admin changes the list.")


def _matches(hostname: str, pattern: str) -> bool:
    return hostname.endswith(pattern[1:]) if pattern.startswith("*.") else hostname == pattern


def ancestors(path: str) -> list[str]:
    """Return the paths that a path lies in: what a request to one of them could mean twice."""
    parts = path[1:].split("/")
    return ["/" + "/".join(parts[:length]) for length in range(1, len(parts))]


def address_taken(path: str, hostname: str | None, model: str) -> Problem:
    """The address belongs to another publication, or one lies inside of the other."""
    return Problem(
        409,
        "ADDRESS_TAKEN",
        f"'{path}' at {hostname or 'every hostname'} meets the address of the model '{model}': the same, or one inside the other. Choose another.",
    )
