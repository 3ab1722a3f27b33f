"""Things that people call by their name, and the API by an id."""

import uuid

from ias_admin.client import Client, segment
from ias_admin.errors import CommandFailed, ExitCode


def user_id_of(client: Client, org: str, user: str) -> str:
    """Return the id of a user of an org, given by name or id."""
    return _id_of(client, f"/org/{segment(org)}/user", "username", user, f"'{org}' has no user '{user}'.")


def service_account_id_of(client: Client, org: str, account: str) -> str:
    """Return the id of a service account of an org, given by name or id."""
    return _id_of(client, f"/org/{segment(org)}/service-account", "name", account, f"'{org}' has no service account '{account}'.")


def _id_of(client: Client, path: str, field: str, given: str, missing: str) -> str:
    try:
        return str(uuid.UUID(given))
    except ValueError:
        pass
    for one in client.items(path):
        if one[field] == given:
            return str(one["id"])
    raise CommandFailed(missing, ExitCode.NOT_FOUND)
