"""The audit log."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import From, Limit, Output, To, examples, period
from ias_admin.output import Format, print_list, print_raw
from ias_admin.session import client_of

app = typer.Typer(help="The audit log: every write, who did it, and how it ended.", no_args_is_help=True)
OrgOfLog = Annotated[str | None, typer.Argument(metavar="[ORG]", help="Slug or id of the org; without it everybody's, for System Admins.")]
Actor = Annotated[str | None, typer.Option(help="Id or username of who acted.")]
Action = Annotated[str | None, typer.Option(help="One action, or several: key.create, 'key.*'.")]
Outcome = Annotated[str | None, typer.Option(help="ok, denied or failed.")]
Target = Annotated[str | None, typer.Option(help="Id or name of an object that the write concerns.")]


@app.command("list", epilog=examples("audit list acme --limit 20", "audit list acme --actor ada --action 'key.*' -o csv"))
def list_(
    context: typer.Context,
    org: OrgOfLog = None,
    actor: Actor = None,
    action: Action = None,
    outcome: Outcome = None,
    target: Target = None,
    begin: From = None,
    end: To = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """List writes, newest first."""
    columns = ["timestamp", "actor", "actionType", "outcome", "targets", "clientAddress", "requestId"]
    wanted = {"actor": actor, "action": action, "outcome": outcome, "target": target, **period(begin, end)}
    print_list(list(client_of(context).items(_path(org), limit, **wanted)), columns, output)


@app.command(epilog=examples("audit export acme > audit.csv", "audit export --from 2026-11-01 --to 2026-12-01 > november.csv"))
def export(
    context: typer.Context,
    org: OrgOfLog = None,
    actor: Actor = None,
    action: Action = None,
    outcome: Outcome = None,
    target: Target = None,
    begin: From = None,
    end: To = None,
) -> None:
    """Write all of it to stdout as CSV, payloads included."""
    wanted = {"actor": actor, "action": action, "outcome": outcome, "target": target, **period(begin, end)}
    print_raw(client_of(context).text(f"{_path(org)}.csv", "text/csv", **wanted))


@app.command(epilog=examples("audit actions"))
def actions(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List every action that the log knows, with what it means."""
    print_list(client_of(context).get("/audit_actions")["items"], ["action", "summary"], output)


def _path(org: str | None) -> str:
    return f"/org/{segment(org)}/audit_log" if org else "/audit_log"
