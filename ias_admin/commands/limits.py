"""Limits."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from ias.context import AdmissionMode
from ias_admin.commands.options import Output, Yes, confirm, examples
from ias_admin.commands.whom import KeyOption, OrgOption, UserOption, path_of
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Limits of an org, a user or a key: how fast they may go. Those of a model are part of 'model'.", no_args_is_help=True)


class LimitName(StrEnum):
    """What a limit is called."""

    REQUESTS_PER_MINUTE = "requestsPerMinute"
    REQUESTS_PER_HOUR = "requestsPerHour"
    TOKENS_PER_MINUTE = "tokensPerMinute"
    TOKENS_PER_HOUR = "tokensPerHour"
    BURST_LIMIT = "burstLimit"
    CONCURRENT_REQUESTS = "concurrentRequests"


Amount = Annotated[int | None, typer.Option(min=0, help="0 lets nothing pass.", show_default=False)]
Names = list[LimitName] | None


@app.command(epilog=examples("limits show --org acme"))
def show(context: typer.Context, org: OrgOption = None, user: UserOption = None, key: KeyOption = None, output: Output = Format.TABLE) -> None:
    """Show limits."""
    client = client_of(context)
    print_object(client.get(f"{path_of(client, org, user, key)}/limits"), output)


@app.command(
    "set",
    epilog=examples(
        "limits set --org acme --requests-per-minute 600 --tokens-per-hour 1000000", "limits set --user ada --org acme --lift tokensPerHour"
    ),
)
def set_(
    context: typer.Context,
    org: OrgOption = None,
    user: UserOption = None,
    key: KeyOption = None,
    requests_per_minute: Amount = None,
    requests_per_hour: Amount = None,
    tokens_per_minute: Amount = None,
    tokens_per_hour: Amount = None,
    burst: Annotated[int | None, typer.Option(min=1, help="Requests that may come at once; by default those of a minute.")] = None,
    concurrent_requests: Annotated[int | None, typer.Option(min=0, help="Requests that may run at once.")] = None,
    lift: Annotated[Names, typer.Option(metavar="LIMIT", help="Take this limit away, for example tokensPerHour; repeatable.")] = None,
    count_only: Annotated[Names, typer.Option(metavar="LIMIT", help="Only count what this limit would refuse; repeatable.")] = None,
    enforce: Annotated[Names, typer.Option(metavar="LIMIT", help="Let this limit refuse again; repeatable.")] = None,
    admission_mode: Annotated[AdmissionMode | None, typer.Option(help="Of an org: how its tokens are held, whatever the model says.")] = None,
    outage_tokens: Annotated[int | None, typer.Option(min=0, help="Of an org: tokens for each process while budgets cannot be checked.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Change what is given and leave the rest; in effect within a second."""
    given = {
        "requestsPerMinute": requests_per_minute,
        "requestsPerHour": requests_per_hour,
        "tokensPerMinute": tokens_per_minute,
        "tokensPerHour": tokens_per_hour,
        "burstLimit": burst,
        "concurrentRequests": concurrent_requests,
        "admissionMode": admission_mode,
        "outageTokens": outage_tokens,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None} | dict.fromkeys(lift or [])
    if not (changes or count_only or enforce):
        raise CommandFailed("Nothing to change was given.", ExitCode.USAGE)
    client = client_of(context)

    def change(limits: dict[str, Any] | None) -> dict[str, Any]:
        if limits is None:
            raise CommandFailed("There is no such org, user or key, or it is not yours to see.", ExitCode.NOT_FOUND)
        tried = (set(limits["dryRun"]) | set(count_only or [])) - set(enforce or [])
        return limits | changes | {"dryRun": sorted(tried)}

    print_object(client.change(f"{path_of(client, org, user, key)}/limits", change), output)


@app.command("lift", epilog=examples("limits lift --org acme --yes"))
def lift_all(context: typer.Context, org: OrgOption = None, user: UserOption = None, key: KeyOption = None, yes: Yes = False) -> None:
    """Take all limits away; budgets stay."""
    client = client_of(context)
    path = path_of(client, org, user, key)
    confirm(f"Lift all limits of {path[1:]}?", yes)
    client.delete(f"{path}/limits")
    say("Lifted.")
