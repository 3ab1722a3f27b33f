"""Credentials of providers, by name: each is a file in one folder (a mounted secret), read when it is used, kept nowhere."""

from pathlib import Path

_MAX_BYTES = 8192


class CredentialUnusable(Exception):
    """There is no such credential, or its file is none; the message never holds what is in it."""


class CredentialFolder:
    """Reads credentials. Names are those of `controlplane.backends.schemas.CredentialName`: no slash, no dot at the beginning."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def header(self, name: str | None) -> dict[str, str]:
        """Return the header that shows a credential to a provider; none for None. Raises CredentialUnusable."""
        return {} if name is None else {"authorization": f"Bearer {self.read(name)}"}

    def read(self, name: str) -> str:
        """Return a credential as it is now. Raises CredentialUnusable."""
        if self._directory is None:
            raise CredentialUnusable(f"the credential '{name}' cannot be read: IAS_BACKEND_CREDENTIALS_DIR is not set")
        try:
            with (self._directory / name).open("rb") as file:
                secret = file.read(_MAX_BYTES + 1).strip()
        except OSError as error:
            raise CredentialUnusable(f"the credential '{name}' cannot be read from IAS_BACKEND_CREDENTIALS_DIR: {error.strerror}") from None
        if not 0 < len(secret) <= _MAX_BYTES or not all(0x21 <= byte <= 0x7E for byte in secret):
            raise CredentialUnusable(f"the credential '{name}' is not one line of 1 to {_MAX_BYTES} visible ASCII characters")
        return secret.decode()
