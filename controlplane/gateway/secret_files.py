"""The credentials of engines as files that Envoy reads (SDS), one for each, for its user alone.

They are written before a cluster names them and removed when none does any more. Envoy reads a file again when another is renamed over it,
so a new credential needs no change of a cluster, and no request fails for it.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from controlplane.backends.credentials import CredentialFolder, CredentialUnusable
from controlplane.gateway.upstream_credentials import secret_file, secret_name
from ias import logs

log = logs.get(__name__)

_TRIES = 4
_AGAIN_S = 0.1
"""A file that is written anew where it is, and not renamed, is empty for a moment: that takes no engine away."""
_RESOURCE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


class SecretFiles:
    """Keeps `directory` at the credentials that are needed."""

    def __init__(self, directory: Path, credentials: CredentialFolder) -> None:
        self.directory = directory
        self._credentials = credentials

    def write(self, names: Collection[str]) -> dict[str, str]:
        """Bring the files of these credentials to what they are now; return the names that cannot be used, with the reason."""
        unusable = {}
        for name in sorted(names):
            try:
                self._keep(name, self._read(name))
            except CredentialUnusable as problem:
                unusable[name] = str(problem)
        return unusable

    def remove_all_but(self, names: Collection[str]) -> None:
        """Remove the files that no cluster names."""
        kept = {secret_file(self.directory, name) for name in names}
        for path in self.directory.glob("*") if self.directory.exists() else ():
            if path not in kept:
                path.unlink()
                log.info("gateway_credential_removed", file=path.name)

    def _read(self, name: str) -> str:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(CredentialUnusable):
                return self._credentials.read(name)
            time.sleep(_AGAIN_S)
        return self._credentials.read(name)

    def _keep(self, name: str, credential: str) -> None:
        path = secret_file(self.directory, name)
        if _held(path) == credential:
            return
        self.directory.mkdir(mode=0o700, exist_ok=True)
        # Statistics show the version: a random one, as a digest of the credential would tell of it.
        secret = {"@type": _RESOURCE, "name": secret_name(name), "generic_secret": {"secret": {"inline_string": credential}}}
        content = msgspec.json.encode({"version_info": secrets.token_hex(8), "resources": [secret]})
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        log.info("gateway_credential_written", credential=name)


def _held(path: Path) -> str | None:
    try:
        secret: str = msgspec.json.decode(path.read_bytes())["resources"][0]["generic_secret"]["secret"]["inline_string"]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return secret
