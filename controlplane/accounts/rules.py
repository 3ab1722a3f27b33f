"""Rules of accounts: user names, passwords. Pure but for the randomness of new passwords."""

import secrets

MIN_PASSWORD = 12
MAX_PASSWORD = 256
USERNAME = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"
"""Letters, digits and `._@+-`: an e-mail address is a user name. The names of services hold a `:` and can never collide."""


def new_password() -> str:
    """Make a password that nobody guesses (144 bits)."""
    return secrets.token_urlsafe(18)


def service_username(org_id: object) -> str:
    """The name of an org's service identity."""
    return f"service:{org_id}"
