"""Where the servers are: PostgreSQL, Valkey and Envoy come as binaries inside Python packages."""

from importlib.util import find_spec
from pathlib import Path


class BinaryMissing(Exception):
    """A package is missing, or has nothing for this machine; the message says what to install."""


def find(package: str, pattern: str) -> Path:
    """Return the file of an installed package. The package is not imported: some load their test client, which costs every start."""
    spec = find_spec(package)
    if spec and spec.origin:
        for path in Path(spec.origin).parent.glob(pattern):
            return path
    raise BinaryMissing(
        f"The package '{package}' is missing or has no {pattern.rpartition('/')[2]} for this machine. Install ias-gateway[standalone]."
    )
