"""The catalog: which models the backends have."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from ias_admin.client import Client, segment
from ias_admin.commands.options import Limit, Org, Output, examples
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_list, print_object
from ias_admin.session import client_of

app = typer.Typer(help="The catalog: which models the backends have, what they can do and cost.", no_args_is_help=True)
_COLUMNS = ["model", "status", "capabilities", "modalities", "contextTokens", "outputTokens", "aliases", "edited", "lastSeenAt", "id"]
_MODEL = "gpu-pool::meta-llama/Llama-3-8B"
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Its id, BACKEND::NAME, as lists show it.")]


class Status(StrEnum):
    """Whether a model is there."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"


@app.command("list", epilog=examples("catalog list", "catalog list --backend gpu-pool --status deprecated", "catalog list --name llama"))
def list_(
    context: typer.Context,
    backend: Annotated[str | None, typer.Option(metavar="BACKEND", help="Only those of this backend.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those with this status.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those whose name has this in it.")] = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List models, the newest first."""
    print_list(list(client_of(context).items("/catalog", limit, backend=backend, status=status, name=name)), _COLUMNS, output)


@app.command(epilog=examples("catalog usable acme", "catalog usable acme --capability tools --provider gpu-pool"))
def usable(
    context: typer.Context,
    org: Org,
    capability: Annotated[str | None, typer.Option(help="Only those that can do this: chat, tools, …")] = None,
    modality: Annotated[str | None, typer.Option(help="Only those that take this: text, image, …")] = None,
    provider: Annotated[str | None, typer.Option(metavar="BACKEND", help="Only those of this backend.")] = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List the models that an org may use, the newest first."""
    columns = ["model", "aliases", "capabilities", "modalities", "contextTokens", "outputTokens", "provider.health", "price.input", "price.output"]
    found = client_of(context).items(f"/org/{segment(org)}/model", limit, capability=capability, modality=modality, provider=provider)
    print_list(list(found), columns, output)


@app.command(epilog=examples(f"catalog resolve acme {_MODEL}", "catalog resolve acme llama-latest -o json"))
def resolve(
    context: typer.Context,
    org: Org,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its id, BACKEND::NAME, or an alias.")],
    output: Output = Format.TABLE,
) -> None:
    """Say what a model is for an org, or why it may not use it."""
    print_object(client_of(context).get(f"/org/{segment(org)}/model/{segment(model)}"), output)


@app.command(epilog=examples(f"catalog show {_MODEL}"))
def show(context: typer.Context, model: Model, output: Output = Format.TABLE) -> None:
    """Show a model."""
    print_object(_find(client_of(context), model), output)


@app.command(epilog=examples(f"catalog history {_MODEL}"))
def history(context: typer.Context, model: Model, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List what changed about a model, the newest first."""
    client = client_of(context)
    print_list(list(client.items(f"{_path(client, model)}/change", limit)), ["at", "kind", "changes", "userId"], output)


@app.command(epilog=examples("catalog discover gpu-pool"))
def discover(
    context: typer.Context,
    backend: Annotated[str, typer.Argument(metavar="BACKEND", help="Name or id of the backend.")],
    output: Output = Format.TABLE,
) -> None:
    """Ask a backend for its models now; exit code 6 if it is not healthy."""
    view = client_of(context).post(f"/backend/{segment(backend)}/discover")
    print_object(view, output)
    if view["health"] != "healthy":
        raise CommandFailed(f"The backend '{backend}' is {view['health']}, nothing was changed: {view.get('healthReason')}.", ExitCode.UNAVAILABLE)


@app.command(
    epilog=examples(f"catalog edit {_MODEL} --capability chat --capability tools --alias llama", f"catalog edit {_MODEL} --as-told contextTokens")
)
def edit(
    context: typer.Context,
    model: Model,
    capability: Annotated[list[str] | None, typer.Option(help="What it can do; these and no others.")] = None,
    modality: Annotated[list[str] | None, typer.Option(help="What it takes; these and no others.")] = None,
    alias: Annotated[list[str] | None, typer.Option(help="Another name of it; these and no others.")] = None,
    context_tokens: Annotated[int | None, typer.Option(min=1, help="Prompt and output together.")] = None,
    output_tokens: Annotated[int | None, typer.Option(min=1, help="Of one answer.")] = None,
    as_told: Annotated[list[str] | None, typer.Option(help="Leave it to the backend again: contextTokens, capabilities …")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Say what a model can do; discovery does not overwrite it."""
    given = {"capabilities": capability, "modalities": modality, "aliases": alias, "contextTokens": context_tokens, "outputTokens": output_tokens}
    body: dict[str, Any] = {name: value for name, value in given.items() if value} | dict.fromkeys(as_told or ())
    client = client_of(context)
    print_object(client.put(_path(client, model), body), output)


@app.command(epilog=examples(f"catalog price {_MODEL}", f"catalog price {_MODEL} --currency EUR --input 0.50 --output-price 1.50 --from 2027-01-01"))
def price(
    context: typer.Context,
    model: Model,
    currency: Annotated[str | None, typer.Option(help="ISO 4217; without it the prices are listed.")] = None,
    input_price: Annotated[str, typer.Option("--input", help="Of a million input tokens.")] = "0",
    cached: Annotated[str | None, typer.Option("--cached-input", help="Of a million cached ones.")] = None,
    output_price: Annotated[str, typer.Option(help="Of a million output tokens.")] = "0",
    valid_from: Annotated[datetime | None, typer.Option("--from", help="From when on, UTC; by default now.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List the prices of a model, or set the one from a moment on."""
    client = client_of(context)
    path = f"{_path(client, model)}/price"
    if currency is None:
        view = client.get(path)
    else:
        start = {"validFrom": valid_from.replace(tzinfo=UTC).isoformat()} if valid_from else {}
        view = client.post(path, {"currency": currency, "input": input_price, "cachedInput": cached, "output": output_price, **start})
    print_list(view["items"], ["validFrom", "currency", "input", "cachedInput", "output"], output)


def _find(client: Client, model: str) -> dict[str, Any]:
    backend, _, name = model.partition("::")
    found = [one for one in client.items("/catalog", None, backend=backend, name=name or None) if one["model"] == model]
    if not found:
        raise CommandFailed(f"The catalog has no model '{model}': 'ias-admin catalog list' shows their ids.", ExitCode.NOT_FOUND)
    return dict(found[0])


def _path(client: Client, model: str) -> str:
    return f"/catalog/{segment(str(_find(client, model)['id']))}"
