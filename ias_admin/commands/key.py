"""API keys: one at a time. Searching and revoking many: `key_search.py`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ias_admin.client import segment
from ias_admin.commands import key_search
from ias_admin.commands.options import Output, Overlap, Yes, confirm, examples
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_object, print_secret, say
from ias_admin.prompts import read_secret
from ias_admin.session import client_of

app = typer.Typer(help="API keys.", no_args_is_help=True)
app.command("list", epilog=examples("key list", "key list --org acme --label team=search --status active"))(key_search.list_)
app.command("bulk-revoke", epilog=examples("key bulk-revoke acme --user bob --dry-run", "key bulk-revoke acme --unused-since 2026-01-01 --yes"))(
    key_search.bulk_revoke
)

_ID = "01970000-0000-7000-8000-000000000000"
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key.")]
Expires = Annotated[datetime | None, typer.Option(help="Last moment of its life, UTC.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="A model it may use, '*' as wildcard; repeatable; all by default.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="A label, which becomes a tag of its requests; repeatable.")]


@app.command(epilog=examples("key create production-app", 'key create ci --model "llama-3-*" --label team=search --expires 2027-01-01 -o json'))
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    expires: Expires = None,
    model: Models = None,
    label: Labels = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Its own limit, beside that of the model.")] = None,
    burst: Annotated[int | None, typer.Option(min=1, help="Requests at once; needs --requests-per-minute.")] = None,
    service_account: Annotated[str | None, typer.Option(metavar="ID", help="Make it for this service account of your org.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Create a key of your own. It is shown once, here: alone on stdout, so that it can be piped."""
    limits = {"requestsPerMinute": requests_per_minute, "burstLimit": burst}
    body = {
        "name": name,
        "expiresAt": _moment(expires),
        "allowedModels": model,
        "labels": _labels(label),
        "rateLimiting": {limit: value for limit, value in limits.items() if value is not None} or None,
        "userId": service_account,
    }
    print_secret(client_of(context).post("/key", {field: value for field, value in body.items() if value}), "apiKey", output)


@app.command(epilog=examples(f"key show {_ID}"))
def show(context: typer.Context, key_id: KeyId, output: Output = Format.TABLE) -> None:
    """Show a key: its limits, labels, secrets that are valid, last use."""
    print_object(client_of(context).get(f"/key/{segment(key_id)}"), output)


@app.command(epilog=examples(f"key update {_ID} --name nightly --label env=prod", f'key update {_ID} --model "gpt-*" --never-expires'))
def update(
    context: typer.Context,
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    expires: Expires = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="Take its end away.")] = False,
    model: Annotated[list[str] | None, typer.Option("--model", help="The models it may use, instead of those before; repeatable.")] = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="Let it use all that the org may.")] = False,
    label: Labels = None,
    remove_label: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take a label away; repeatable.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Change what is given and leave the rest; in effect within a second."""
    changes: dict[str, Any] = {
        field: value for field, value in {"name": name, "expiresAt": _moment(expires), "allowedModels": model}.items() if value
    }
    changes |= {"expiresAt": None} if never_expires else {}
    changes |= {"allowedModels": []} if all_models else {}
    if not (changes or label or remove_label):
        raise CommandFailed("Nothing to change was given.", ExitCode.USAGE)

    def change(key: dict[str, Any] | None) -> dict[str, Any]:
        if key is None:
            raise CommandFailed("There is no such key, or it is not yours to see.", ExitCode.NOT_FOUND)
        labels = {one: value for one, value in key["labels"].items() if one not in (remove_label or ())} | _labels(label)
        return {field: key[field] for field in ("name", "expiresAt", "allowedModels")} | {"labels": labels} | changes

    print_object(client_of(context).change(f"/key/{segment(key_id)}", change), output)


@app.command(epilog=examples(f"key disable {_ID}"))
def disable(context: typer.Context, key_id: KeyId) -> None:
    """Stop a key for now. It is refused everywhere within a second; what an admin has disabled its owner cannot enable."""
    client_of(context).post(f"/key/{segment(key_id)}/disable")
    say(f"Disabled {key_id}.")


@app.command(epilog=examples(f"key enable {_ID}"))
def enable(context: typer.Context, key_id: KeyId) -> None:
    """Let a disabled key work again."""
    client_of(context).post(f"/key/{segment(key_id)}/enable")
    say(f"Enabled {key_id}.")


@app.command(epilog=examples(f"key rotate {_ID}", f"key rotate {_ID} --overlap-hours 0 > new-key"))
def rotate(
    context: typer.Context,
    key_id: KeyId,
    overlap_hours: Overlap = 24,
    output: Output = Format.TABLE,
) -> None:
    """Give a key a new secret. It is shown once, here: alone on stdout, so that it can be piped."""
    body = {"overlapSeconds": round(overlap_hours * 3600)}
    print_secret(client_of(context).post(f"/key/{segment(key_id)}/rotate", body), "apiKey", output)


@app.command(epilog=examples(f"key revoke {_ID} --yes"))
def revoke(context: typer.Context, key_id: KeyId, yes: Yes = False) -> None:
    """Revoke a key for good. It is refused everywhere within a second; running answers end normally."""
    confirm(f"Revoke the key {key_id} for good?", yes)
    client_of(context).delete(f"/key/{segment(key_id)}")
    say(f"Revoked {key_id}.")


@app.command(epilog=examples("key validate < key.txt", "key validate --file /run/secrets/api-key -o json"))
def validate(
    context: typer.Context,
    file: Annotated[Path | None, typer.Option(help="File whose first line is the key.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Check whether the gateway takes a key. It is read from a file, IAS_API_KEY, stdin or a prompt; exit code 1: it is not valid."""
    answer = client_of(context).look("/validate-api-key", {"apiKey": read_secret("API key", "IAS_API_KEY", file)})
    print_object(answer, output)
    if not answer["valid"]:
        raise CommandFailed("The key is not valid.")


def _moment(value: datetime | None) -> str | None:
    return value.replace(tzinfo=UTC).isoformat() if value else None


def _labels(pairs: list[str] | None) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs or ()]
    if any(not value for _, _, value in split):
        raise CommandFailed("A label is NAME=VALUE.", ExitCode.USAGE)
    return {name: value for name, _, value in split}
