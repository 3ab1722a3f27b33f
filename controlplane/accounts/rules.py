"""Rules of accounts: user names, passwords. Pure but for the randomness of new passwords."""

import secrets

MIN_PASSWORD = 12
MAX_PASSWORD = 256
USERNAME = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"
"""Letters, digits and `._@+-`: an e-mail address is a user name. The names of services hold a `:` and can never collide."""


def new_password() -> str:
    """Make a password that nobody guesses (144 bits)."""
    return secrets.token_urlsafe(18)


def service_username(org_id: object, name: str = "") -> str:
    """The name of the service identity that owns the keys of an org's publications, or of a service account that people named."""
    return f"service:{org_id}:{name}" if name else f"service:{org_id}"


def service_name(username: str) -> str:
    """Return what people named a service account."""
    return username.split(":", 2)[-1]
