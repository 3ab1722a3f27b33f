"""Published models."""

import json
import pathlib
from enum import StrEnum
from typing import Annotated, Any

import typer

from ias.context import AdmissionMode
from ias_admin.client import segment
from ias_admin.commands.options import Limit, Org, Output, Overlap, Yes, confirm, examples
from ias_admin.commands.traffic import Traffic, traffic_of
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_list, print_object, print_raw, print_secret, say
from ias_admin.session import client_of

app = typer.Typer(help="Published models.", no_args_is_help=True)


class ModelType(StrEnum):
    """Which API a model speaks."""

    OPENAI = "openai"
    TRADITIONAL = "traditional"


class Document(StrEnum):
    """A form of the documentation of a model."""

    MD = "md"
    HTML = "html"
    JSON = "json"


Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name that clients use.")]
Backend = Annotated[str | None, typer.Option(help="Registered backend; by default the one that serves the model.")]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="BACKEND[:WEIGHT[:PRIORITY]]", help="One of several backends, in place of --backend; repeatable."),
]
Upstream = Annotated[str | None, typer.Option("--upstream-model", help="The backend's own name of the model.")]
Type = Annotated[ModelType | None, typer.Option("--type", help="By default what the backend is.")]
Hostname = Annotated[str | None, typer.Option(help="Public host name.")]
Path = Annotated[str | None, typer.Option(help="Base path at the gateway.")]
PerMinute = Annotated[int | None, typer.Option("--requests-per-minute", min=1, help="Limit of each org.")]
PerHour = Annotated[int | None, typer.Option("--requests-per-hour", min=1, help="Limit of each org.")]
TokensPerMinute = Annotated[int | None, typer.Option("--tokens-per-minute", min=0, help="Limit of each org.")]
TokensPerHour = Annotated[int | None, typer.Option(min=1, help="Limit of each org.")]
Burst = Annotated[int | None, typer.Option(min=1, help="Requests that may come at once.")]
Concurrent = Annotated[int | None, typer.Option("--concurrent-requests", min=0, help="Requests of each org that may run at once.")]
Mode = Annotated[AdmissionMode | None, typer.Option("--admission-mode", help="How tokens are held in limits and budgets; balanced by default.")]
Context = Annotated[int | None, typer.Option("--context-tokens", min=1, help="Prompt and output together that the engine takes.")]
OutputCap = Annotated[int | None, typer.Option(min=1, help="Output tokens of a request that says none, as far as its hold needs them.")]
Continuous = Annotated[
    bool | None, typer.Option("--continuous-usage/--no-continuous-usage", help="Whether the engine knows continuous_usage_stats, as vLLM does.")
]
ApiKey = Annotated[
    bool | None, typer.Option("--api-key/--no-api-key", help="Whether callers need a key; only a traditional model may be open to all.")
]
Allow = Annotated[list[str] | None, typer.Option(metavar="ORG", help="Org that may use the model; repeatable; by default the owner alone.")]
File = Annotated[typer.FileText | None, typer.Option("--file", "-f", help="JSON configuration, '-' is stdin; options go before it.")]


@app.command(
    epilog=examples(
        "model publish llama-3-8b --org acme --backend gpu-pool --tokens-per-minute 100000", "model publish llama-3-8b --file - < llama.json"
    )
)
def publish(
    context: typer.Context,
    model: Model,
    org: Annotated[str | None, typer.Option(metavar="ORG", help="Owner: slug or id.")] = None,
    backend: Backend = None,
    target: Targets = None,
    upstream_model: Upstream = None,
    model_type: Type = None,
    hostname: Hostname = None,
    path: Path = None,
    requests_per_minute: PerMinute = None,
    requests_per_hour: PerHour = None,
    tokens_per_minute: TokensPerMinute = None,
    tokens_per_hour: TokensPerHour = None,
    burst: Burst = None,
    concurrent_requests: Concurrent = None,
    admission_mode: Mode = None,
    context_tokens: Context = None,
    output_cap: OutputCap = None,
    continuous_usage: Continuous = None,
    traffic: Traffic = None,
    api_key: ApiKey = None,
    allow: Allow = None,
    file: File = None,
    output: Output = Format.TABLE,
) -> None:
    """Publish a model. Its API key is shown once, here."""
    config = _config(file, _options(context.params))
    if "tenantId" not in config:
        raise CommandFailed("Whose is it? Give --org, or tenantId in the file.", ExitCode.USAGE)
    view = client_of(context).post(f"/models/{segment(model)}/publish", {"config": config})
    print_object(view, output)
    say("Keep the key now: it is not shown again.")


@app.command(
    epilog=examples(
        "model update llama-3-8b --requests-per-minute 300 --allow acme --allow beta",
        "model update llama-3-8b --target gpu-a:90 --target gpu-b:10 --traffic maxRequests=64",
    )
)
def update(
    context: typer.Context,
    model: Model,
    backend: Backend = None,
    target: Targets = None,
    upstream_model: Upstream = None,
    model_type: Type = None,
    hostname: Hostname = None,
    path: Path = None,
    requests_per_minute: PerMinute = None,
    requests_per_hour: PerHour = None,
    tokens_per_minute: TokensPerMinute = None,
    tokens_per_hour: TokensPerHour = None,
    burst: Burst = None,
    concurrent_requests: Concurrent = None,
    admission_mode: Mode = None,
    context_tokens: Context = None,
    output_cap: OutputCap = None,
    continuous_usage: Continuous = None,
    traffic: Traffic = None,
    api_key: ApiKey = None,
    allow: Allow = None,
    file: File = None,
    output: Output = Format.TABLE,
) -> None:
    """Change what is given and leave the rest; clients notice nothing. To lift a limit, set it to null in a file."""
    config = _config(file, _options(context.params))
    if not config:
        raise CommandFailed("Nothing to change was given.", ExitCode.USAGE)
    print_object(client_of(context).put(f"/models/{segment(model)}/publish", {"config": config}), output)


@app.command(epilog=examples("model show llama-3-8b"))
def show(context: typer.Context, model: Model, output: Output = Format.TABLE) -> None:
    """Show a published model with its use."""
    print_object(client_of(context).get(f"/models/{segment(model)}/publish"), output)


@app.command(epilog=examples("model docs llama-3-8b", "model docs llama-3-8b --format html -o llama-3-8b.html"))
def docs(
    context: typer.Context,
    model: Model,
    form: Annotated[Document, typer.Option("--format", help="Markdown, a page of HTML, or JSON.")] = Document.MD,
    file: Annotated[pathlib.Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; by default stdout.")] = None,
) -> None:
    """Show how to call a model: address, authentication, limits, errors, examples. For all whose org may use it."""
    document = client_of(context).text(f"/models/{segment(model)}/publish/documentation", "*/*", format=form)
    if file is None:
        print_raw(document)
        return
    try:
        file.write_text(document, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"Cannot write {file}: {error.strerror}.") from error
    say(f"Wrote {file}.")


@app.command("list", epilog=examples("model list --org acme"))
def list_(
    context: typer.Context,
    org: Annotated[str | None, typer.Option(metavar="ORG", help="Those of this owner only.")] = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List the published models."""
    columns = ["modelName", "tenantId", "status", "backend", "backendHealth", "usage.totalRequests", "usage.tokensUsed", "usage.lastAccessTime"]
    print_list(list(client_of(context).items("/published-models", limit, tenantId=org)), columns, output)


@app.command(epilog=examples("model rotate-key llama-3-8b", "model rotate-key llama-3-8b --overlap-hours 0 > new-key"))
def rotate_key(context: typer.Context, model: Model, overlap_hours: Overlap = 24, output: Output = Format.TABLE) -> None:
    """Give a model's key a new secret. It is shown once, here: alone on stdout, so that it can be piped."""
    body = {"overlapSeconds": round(overlap_hours * 3600)}
    print_secret(client_of(context).post(f"/models/{segment(model)}/publish/rotate-key", body), "apiKey", output)


@app.command(epilog=examples("model unpublish llama-3-8b --yes"))
def unpublish(context: typer.Context, model: Model, yes: Yes = False) -> None:
    """Unpublish a model and revoke its key. Running answers end normally."""
    confirm(f"Unpublish '{model}' and revoke its key?", yes)
    client_of(context).delete(f"/models/{segment(model)}/publish")
    say(f"Unpublished {model}.")


@app.command(epilog=examples("model allowance acme", "model allowance acme -o json"))
def allowance(context: typer.Context, org: Org, output: Output = Format.TABLE) -> None:
    """Show how many models an org may publish, and at which hostnames."""
    print_object(client_of(context).get(f"/org/{segment(org)}/publishing"), output)


@app.command(epilog=examples("model allow acme --max-publications 20 --hostname api.acme.com --hostname '*.ml.acme.com'", "model allow acme"))
def allow(
    context: typer.Context,
    org: Org,
    max_publications: Annotated[int | None, typer.Option(min=0, help="By default as many as the service's setting says.")] = None,
    hostname: Annotated[list[str] | None, typer.Option(help="The only ones that it may use; repeatable; by default every one.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Set how many models an org may publish, and at which hostnames. What is left out is unlimited again."""
    body = {"maxPublications": max_publications, "hostnames": hostname or None}
    print_object(client_of(context).put(f"/org/{segment(org)}/publishing", body), output)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Put the options of a call into the shape of the API's `config`."""
    limits = {
        "requestsPerMinute": given["requests_per_minute"],
        "requestsPerHour": given["requests_per_hour"],
        "tokensPerMinute": given["tokens_per_minute"],
        "tokensPerHour": given["tokens_per_hour"],
        "burstLimit": given["burst"],
        "concurrentRequests": given["concurrent_requests"],
        "admissionMode": given["admission_mode"],
    }
    return {
        "tenantId": given.get("org"),
        "modelType": given["model_type"],
        "publicHostname": given["hostname"],
        "externalPath": given["path"],
        "backend": given["backend"],
        "backends": [_target(text) for text in given["target"] or ()],
        "upstreamModel": given["upstream_model"],
        "contextTokens": given["context_tokens"],
        "outputCap": given["output_cap"],
        "continuousUsage": given["continuous_usage"],
        "traffic": traffic_of(given["traffic"]),
        "rateLimiting": {name: value for name, value in limits.items() if value is not None},
        "authentication": {
            **({} if given["api_key"] is None else {"requireApiKey": given["api_key"]}),
            **({"allowedTenants": list(given["allow"])} if given["allow"] else {}),
        },
    }


def _target(text: str) -> dict[str, Any]:
    name, *numbers = text.split(":")
    if len(numbers) > 2 or not all(number.isdigit() for number in numbers):
        raise CommandFailed(f"--target is BACKEND[:WEIGHT[:PRIORITY]], not '{text}'.", ExitCode.USAGE)
    return {"name": name, **dict(zip(("weight", "priority"), map(int, numbers), strict=False))}


def _config(file: typer.FileText | None, options: dict[str, Any]) -> dict[str, Any]:
    """Read the file, if any, and put the options over it."""
    try:
        config = json.load(file) if file else {}
    except ValueError as error:
        raise CommandFailed(f"The file is not JSON: {error}.", ExitCode.USAGE) from error
    if isinstance(config, dict):
        config = config.get("config", config)
    if not isinstance(config, dict):
        raise CommandFailed("The file is not a configuration: a JSON object is.", ExitCode.USAGE)
    for name, value in options.items():
        if isinstance(value, dict) and value:
            config[name] = {**(config.get(name) or {}), **value}
        elif value not in (None, "", {}, []):
            config[name] = value
    return config
