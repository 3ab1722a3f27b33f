"""Security events."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import From, Limit, Output, To, examples, period
from ias_admin.output import Format, print_list, print_raw
from ias_admin.session import client_of

app = typer.Typer(help="Security events: what the gateway refused, counted by the minute.", no_args_is_help=True)
OrgOfEvents = Annotated[str | None, typer.Option("--org", metavar="ORG", help="Those of this org's keys; without it all, for System Admins.")]
Code = Annotated[str | None, typer.Option(help="Why: rate_limit_exceeded, invalid_api_key, …")]
Key = Annotated[str | None, typer.Option(metavar="HINT", help="Public part of an API key.")]


@app.command("list", epilog=examples("event list --org acme --code rate_limit_exceeded", "event list --from 2026-11-27 -o json"))
def list_(
    context: typer.Context,
    org: OrgOfEvents = None,
    code: Code = None,
    key: Key = None,
    begin: From = None,
    end: To = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """List what was refused, newest first."""
    columns = ["minute", "status", "code", "requests", "credential", "address", "overflow"]
    found = client_of(context).items(_path(org), limit, code=code, credential=key, **period(begin, end))
    print_list(list(found), columns, output)


@app.command(epilog=examples("event summary --org acme", "event summary --by network --from 2026-11-27"))
def summary(
    context: typer.Context,
    org: OrgOfEvents = None,
    by: Annotated[str, typer.Option(metavar="GROUP", help="kind, key, network or org.")] = "kind",
    code: Code = None,
    begin: From = None,
    end: To = None,
    output: Output = Format.TABLE,
) -> None:
    """Count what was refused, by reason, key, network or org."""
    columns = {"key": ["credential"], "network": ["address"], "org": ["orgId"]}.get(by, ["status", "code"])
    found = client_of(context).get(f"{_path(org)}/summary", by=by, code=code, **period(begin, end))
    print_list(found["items"], [*columns, "requests", "events", "first", "last"], output)


@app.command(epilog=examples("event export --org acme > events.csv"))
def export(context: typer.Context, org: OrgOfEvents = None, code: Code = None, key: Key = None, begin: From = None, end: To = None) -> None:
    """Write everything that was refused to stdout as CSV."""
    print_raw(client_of(context).text(f"{_path(org)}.csv", "text/csv", code=code, credential=key, **period(begin, end)))


def _path(org: str | None) -> str:
    return f"/org/{segment(org)}/security_events" if org else "/security_events"
