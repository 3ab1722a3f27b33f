"""Finding keys, and revoking many."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from ias_admin import manners
from ias_admin.client import Client, segment
from ias_admin.commands.options import Limit, Org, Output, Yes, confirm
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_list, say
from ias_admin.session import client_of

_COLUMNS = ["name", "username", "status", "hint", "expiresAt", "lastUsedAt", "allowedModels", "labels", "id"]
_SHOWN = 10


class KeyStatus(StrEnum):
    """What a key is at this moment."""

    ACTIVE = "active"
    EXPIRED = "expired"
    DISABLED = "disabled"
    REVOKED = "revoked"


Name = Annotated[str | None, typer.Option(help="Part of the name.")]
Hint = Annotated[str | None, typer.Option(help="Beginning of the key, as lists show it. Never the whole key.")]
User = Annotated[str | None, typer.Option(help="User name or id of the owner.")]
Label = Annotated[list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="A label; repeatable.")]
Status = Annotated[KeyStatus | None, typer.Option(help="What it is now.")]
Model = Annotated[str | None, typer.Option(help="A model that its list names or leaves open.")]
UnusedSince = Annotated[datetime | None, typer.Option(help="Not used since then, UTC.")]
CreatedBefore = Annotated[datetime | None, typer.Option(help="Made before then, UTC.")]
ExpiresBefore = Annotated[datetime | None, typer.Option(help="Ends before then, UTC.")]


def list_(
    context: typer.Context,
    org: Annotated[str | None, typer.Option(metavar="ORG", help="All keys of this org instead of your own.")] = None,
    name: Name = None,
    hint: Hint = None,
    user: User = None,
    label: Label = None,
    status: Status = None,
    model: Model = None,
    unused_since: UnusedSince = None,
    created_before: CreatedBefore = None,
    expires_before: ExpiresBefore = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List or search your own keys, or those of an org."""
    path = f"/org/{segment(org)}/key" if org else "/key"
    print_list(list(client_of(context).items(path, limit, **_filter(context.params))), _COLUMNS, output)


def bulk_revoke(
    context: typer.Context,
    org: Org,
    name: Name = None,
    hint: Hint = None,
    user: User = None,
    label: Label = None,
    status: Status = None,
    model: Model = None,
    unused_since: UnusedSince = None,
    created_before: CreatedBefore = None,
    expires_before: ExpiresBefore = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Revoke for good all keys of an org to which all of the options apply. With --dry-run they are only shown."""
    wanted = _filter(context.params)
    if not wanted:
        raise CommandFailed("Which keys? Give at least one option; --status active means all that work.", ExitCode.USAGE)
    client, path = client_of(context), f"/org/{segment(org)}/key/revoke"
    shown = client.look(path, {"filter": wanted})
    if manners.current().dry_run or not shown["keys"]:
        print_list(shown["keys"], _COLUMNS, output)
        say(f"{shown['count'] + shown['remaining']} keys would be revoked.")
        return
    say("\n".join(f"{key['hint']}  {key['username']}  {key['name']}" for key in shown["keys"][:_SHOWN]))
    confirm(f"Revoke these and others, {shown['count'] + shown['remaining']} keys in all, for good?", yes)
    print_list(_revoke(client, path, wanted, shown), _COLUMNS, output)


def _revoke(client: Client, path: str, wanted: dict[str, Any], shown: dict[str, Any]) -> list[dict[str, Any]]:
    """Revoke in portions of what one call takes; return all that were revoked."""
    revoked: list[dict[str, Any]] = []
    while shown["keys"]:
        done = client.post(path, {"filter": wanted, "dryRun": False, "confirm": shown["confirm"]})
        revoked += done["keys"]
        say(f"Revoked {len(revoked)}, {done['remaining']} to go.")
        if not done["remaining"]:
            break
        shown = client.look(path, {"filter": wanted})
    return revoked


def _filter(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a call as the API's filter."""
    moments = {"lastUsedBefore": "unused_since", "createdBefore": "created_before", "expiresBefore": "expires_before"}
    plain = {name: given[name] for name in ("name", "hint", "user", "label", "status", "model")}
    times = {name: given[option].replace(tzinfo=UTC).isoformat() for name, option in moments.items() if given[option]}
    return {name: list(value) if name == "label" else value for name, value in plain.items() if value} | times
