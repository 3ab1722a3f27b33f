"""Usage."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Org, Output, examples
from ias_admin.output import Format, print_list, print_object
from ias_admin.session import client_of

app = typer.Typer(help="Usage of orgs, of the whole system, and of one request.", no_args_is_help=True)
From = Annotated[datetime | None, typer.Option("--from", help="Begin, UTC, inclusive; 30 days before the end by default.")]
To = Annotated[datetime | None, typer.Option("--to", help="End, UTC, exclusive; now by default.")]


@app.command("org", epilog=examples("usage org acme --from 2026-11-01 --to 2026-12-01"))
def of_org(context: typer.Context, org: Org, begin: From = None, end: To = None, output: Output = Format.TABLE) -> None:
    """Show the usage of an org by model, user, key and outcome."""
    print_object(client_of(context).get(f"/analytics/org/{segment(org)}", **_period(begin, end)), output)


@app.command("system", epilog=examples("usage system -o json"))
def of_system(context: typer.Context, begin: From = None, end: To = None, output: Output = Format.TABLE) -> None:
    """Show the usage of all orgs."""
    print_object(client_of(context).get("/analytics/system", **_period(begin, end)), output)


@app.command("request", epilog=examples("usage request 8f14e45f-ceea-467f-a8b7-0d1c2e3f4a5b"))
def of_request(
    context: typer.Context, request_id: Annotated[str, typer.Argument(help="The x-request-id of its answer.")], output: Output = Format.TABLE
) -> None:
    """Show what one request used."""
    items = client_of(context).get(f"/requests/{segment(request_id)}")["items"]
    columns = ["admittedAt", "model", "outcome", "httpStatus", "inputTokens", "outputTokens", "usageSource", "durationMs", "eventId"]
    print_list(items, columns, output)


def _period(begin: datetime | None, end: datetime | None) -> dict[str, str]:
    bounds = {"from": begin, "to": end}
    return {name: moment.replace(tzinfo=UTC).isoformat() for name, moment in bounds.items() if moment}
