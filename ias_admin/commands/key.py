"""API keys."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Output, Yes, confirm, examples
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="API keys.", no_args_is_help=True)
_COLUMNS = ["name", "status", "hint", "expiresAt", "lastUsedAt", "allowedModels", "id"]


@app.command(epilog=examples("key create production-app", 'key create ci --model "llama-3-*" --expires 2027-01-01 -o json'))
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    expires: Annotated[datetime | None, typer.Option(help="Last moment of its life, UTC.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="A model it may use, '*' as wildcard; repeatable; all by default.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Its own limit, beside that of the model.")] = None,
    burst: Annotated[int | None, typer.Option(min=1, help="Requests at once; needs --requests-per-minute.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Create a key of your own. It is shown once, here."""
    limits = {"requestsPerMinute": requests_per_minute, "burstLimit": burst}
    body = {
        "name": name,
        "expiresAt": expires.replace(tzinfo=UTC).isoformat() if expires else None,
        "allowedModels": model,
        "rateLimiting": {limit: value for limit, value in limits.items() if value is not None} or None,
    }
    key = client_of(context).post("/key", {field: value for field, value in body.items() if value})
    print_object(key, output)
    say("Keep the key now: it is not shown again.")


@app.command("list", epilog=examples("key list", "key list --org acme"))
def list_(
    context: typer.Context,
    org: Annotated[str | None, typer.Option(metavar="ORG", help="All keys of this org instead of your own.")] = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List your own keys, or those of an org."""
    path = f"/org/{segment(org)}/key" if org else "/key"
    print_list(list(client_of(context).items(path, limit)), _COLUMNS, output)


@app.command(epilog=examples("key revoke 01970000-0000-7000-8000-000000000000 --yes"))
def revoke(context: typer.Context, key_id: Annotated[str, typer.Argument(help="Id of the key.")], yes: Yes = False) -> None:
    """Revoke a key for good. It is refused everywhere within a second; running answers end normally."""
    confirm(f"Revoke the key {key_id} for good?", yes)
    client_of(context).delete(f"/key/{segment(key_id)}")
    say(f"Revoked {key_id}.")
