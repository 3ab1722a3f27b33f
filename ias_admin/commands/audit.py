"""The audit log."""

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Org, Output, examples
from ias_admin.output import Format, print_list
from ias_admin.session import client_of

app = typer.Typer(help="The audit log: every write, who did it, and how it ended.", no_args_is_help=True)


@app.command("list", epilog=examples("audit list acme --limit 20", "audit list acme -o csv"))
def list_(context: typer.Context, org: Org, limit: Limit = 50, output: Output = Format.TABLE) -> None:
    """List the writes in an org, newest first."""
    columns = ["timestamp", "actionType", "outcome", "userIdPerformingAction", "clientAddress", "payload"]
    print_list(list(client_of(context).items(f"/org/{segment(org)}/audit_log", limit)), columns, output)
