"""Requests for more: a user asks, an admin approves or rejects."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from ias_admin.client import segment
from ias_admin.commands.budget import InPeriod, Tokens, tokens_of
from ias_admin.commands.limits import LimitName
from ias_admin.commands.options import Limit, Output, examples
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Requests for larger budgets and limits: ask, and decide.", no_args_is_help=True)
_COLUMNS = ["createdAt", "username", "scope", "kind", "period", "limit", "amount", "until", "state", "reason", "id"]
_ID = "01970000-0000-7000-8000-000000000000"


class RequestState(StrEnum):
    """Where a request stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="Id of the request.")]
Reason = Annotated[str, typer.Option(help="Why.")]
ForOrg = Annotated[bool, typer.Option("--org", help="For your whole org; for yourself if nothing is given.")]
ForKey = Annotated[str | None, typer.Option("--key", metavar="KEY", help="For this key of yours.")]


@app.command(epilog=examples("quota ask-budget month 500M --org --reason 'Launch next week'"))
def ask_budget(
    context: typer.Context,
    period: InPeriod,
    tokens: Tokens,
    reason: Reason,
    until: Annotated[datetime | None, typer.Option(help="Only until then, UTC, and on top of the budget.")] = None,
    org: ForOrg = False,
    key: ForKey = None,
    output: Output = Format.TABLE,
) -> None:
    """Ask that a budget be so large. With --until: that so much be put on top of it for a while."""
    kind = {"kind": "increase", "until": until.replace(tzinfo=UTC).isoformat()} if until else {"kind": "budget"}
    print_object(client_of(context).post("/quota_request", {**_whom(org, key), **kind, "period": period, "amount": tokens, "reason": reason}), output)


@app.command(epilog=examples("quota ask-limit requestsPerMinute 600 --reason 'More replicas'"))
def ask_limit(
    context: typer.Context,
    limit: Annotated[LimitName, typer.Argument(help="Which limit.")],
    amount: Annotated[int, typer.Argument(min=1, help="How high it shall be.")],
    reason: Reason,
    org: ForOrg = False,
    key: ForKey = None,
    output: Output = Format.TABLE,
) -> None:
    """Ask that a limit be so high."""
    body = {**_whom(org, key), "kind": "limit", "limit": limit, "amount": amount, "reason": reason}
    print_object(client_of(context).post("/quota_request", body), output)


@app.command("list", epilog=examples("quota list", "quota list --org acme --state open"))
def list_(
    context: typer.Context,
    org: Annotated[str | None, typer.Option(metavar="ORG", help="Those of all people of this org instead of your own.")] = None,
    state: Annotated[RequestState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List what was asked for, newest first."""
    path = f"/org/{segment(org)}/quota_request" if org else "/quota_request"
    print_list(list(client_of(context).items(path, limit, state=state)), _COLUMNS, output)


@app.command(epilog=examples(f"quota show {_ID}"))
def show(context: typer.Context, request: RequestId, output: Output = Format.TABLE) -> None:
    """Show a request."""
    print_object(client_of(context).get(f"/quota_request/{segment(request)}"), output)


@app.command(epilog=examples(f"quota approve {_ID}", f"quota approve {_ID} --amount 200M --answer 'Enough until May'"))
def approve(
    context: typer.Context,
    request: RequestId,
    amount: Annotated[int | None, typer.Option(parser=tokens_of, metavar="AMOUNT", help="Another amount than was asked for: 500000, 1.5M.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Another end of an increase, UTC.")] = None,
    answer: Annotated[str | None, typer.Option(help="Some words to who has asked.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Grant a request; in effect within a second."""
    given = {"amount": amount, "until": until.replace(tzinfo=UTC).isoformat() if until else None, "answer": answer}
    body = {name: value for name, value in given.items() if value is not None}
    print_object(client_of(context).post(f"/quota_request/{segment(request)}/approve", body), output)


@app.command(epilog=examples(f"quota reject {_ID} --reason 'There is enough left'"))
def reject(context: typer.Context, request: RequestId, reason: Reason) -> None:
    """Say no, and why."""
    client_of(context).post(f"/quota_request/{segment(request)}/reject", {"reason": reason})
    say(f"Rejected {request}.")


@app.command(epilog=examples(f"quota withdraw {_ID}"))
def withdraw(context: typer.Context, request: RequestId) -> None:
    """Take back what you have asked for."""
    client_of(context).post(f"/quota_request/{segment(request)}/withdraw")
    say(f"Withdrew {request}.")


def _whom(org: bool, key: str | None) -> dict[str, Any]:
    if key:
        return {"scope": "key", "keyId": key}
    return {"scope": "org" if org else "user"}
