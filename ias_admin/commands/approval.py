"""Approvals: which models an org may use."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Output, examples
from ias_admin.commands.quota import Reason, RequestId, RequestState
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Approvals: which models of the catalog an org may use.", no_args_is_help=True)
rules = typer.Typer(help="Rules that approve models without anybody being asked.", no_args_is_help=True)
request = typer.Typer(help="Requests for access: ask for a model, and decide.", no_args_is_help=True)
app.add_typer(rules, name="rule")
app.add_typer(request, name="request")
_MODEL = "gpu-pool::meta-llama/Llama-3-8B"
_ID = "01970000-0000-7000-8000-000000000000"


class State(StrEnum):
    """What an org has decided of a model."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVOKED = "revoked"


Org = Annotated[str, typer.Argument(metavar="ORG", help="Slug or id of the org.")]
Models = Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Ids, BACKEND::NAME, or aliases.")]
Backend = Annotated[str | None, typer.Option(metavar="BACKEND", help="Instead of models: all of this backend.")]
Pattern = Annotated[str | None, typer.Option(help="Instead of models: all whose name matches, '*' for any characters.")]
Why = Annotated[str | None, typer.Option("--reason", help="Why.")]
Show = Annotated[bool, typer.Option("--show", help="Only show which models it would be.")]


@app.command("list", epilog=examples("approval list acme --state pending", "approval list acme --backend gpu-pool"))
def list_(
    context: typer.Context,
    org: Org,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    backend: Annotated[str | None, typer.Option(metavar="BACKEND", help="Only those of this backend.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those whose name has this in it.")] = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List the models of the catalog with what an org has decided of each."""
    found = client_of(context).items(f"/org/{segment(org)}/approval", limit, state=state, backend=backend, name=name)
    print_list(list(found), ["model", "state", "status", "reason", "decidedAt", "capabilities", "contextTokens", "firstSeenAt"], output)


def _deciding(verb: str, does: str, *lines: str) -> None:
    """Add a command that decides of some models: all take the same."""

    @app.command(verb, help=does, epilog=examples(*lines))
    def decide(
        context: typer.Context,
        org: Org,
        models: Models = None,
        backend: Backend = None,
        pattern: Pattern = None,
        reason: Why = None,
        show: Show = False,
        output: Output = Format.TABLE,
    ) -> None:
        _decide(context, verb, org, _body(models, backend, pattern, reason, show), output)


_deciding(
    "approve",
    "Approve models that are pending or were rejected.",
    f"approval approve acme {_MODEL}",
    "approval approve acme --backend gpu-pool --pattern 'llama-*' --show",
)
_deciding("reject", "Reject models that are pending.", f"approval reject acme {_MODEL} --reason 'Not for our data'")
_deciding(
    "revoke",
    "Take approved models away within a second; answers that run end normally.",
    f"approval revoke acme {_MODEL} --reason 'Licence has ended'",
)
_deciding("reinstate", "Approve models again that were revoked.", f"approval reinstate acme {_MODEL}")


@rules.command("list", epilog=examples("approval rule list acme"))
def list_rules(context: typer.Context, org: Org, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List the rules of an org, those that have ended too."""
    rows = list(client_of(context).items(f"/org/{segment(org)}/approval_rule", limit))
    print_list(rows, ["pattern", "backend", "createdAt", "endedAt", "id"], output)


@rules.command("add", epilog=examples("approval rule add acme --backend gpu-pool", "approval rule add acme --pattern 'llama-*'"))
def add_rule(
    context: typer.Context,
    org: Org,
    backend: Annotated[str | None, typer.Option(metavar="BACKEND", help="Models of this backend; of every one if nothing is given.")] = None,
    pattern: Annotated[str, typer.Option(help="Names of models, '*' for any characters.")] = "*",
    output: Output = Format.TABLE,
) -> None:
    """Approve what matches, now and from now on, unless somebody decided otherwise."""
    print_object(client_of(context).post(f"/org/{segment(org)}/approval_rule", {"backend": backend, "pattern": pattern}), output)


@rules.command("end", epilog=examples(f"approval rule end {_ID}"))
def end_rule(context: typer.Context, rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of the rule.")]) -> None:
    """End a rule: what it has approved stays approved, models that come later are pending."""
    client_of(context).post(f"/approval_rule/{segment(rule)}/end")
    say(f"Ended {rule}.")


@request.command("create", epilog=examples(f"approval request create {_MODEL} --reason 'For the search team'"))
def ask(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its id, BACKEND::NAME, or an alias.")],
    reason: Reason,
    output: Output = Format.TABLE,
) -> None:
    """Ask the admins of your org for a model."""
    print_object(client_of(context).post("/access_request", {"model": model, "reason": reason}), output)


@request.command("list", epilog=examples("approval request list", "approval request list --org acme --state open"))
def list_requests(
    context: typer.Context,
    org: Annotated[str | None, typer.Option(metavar="ORG", help="Those of all people of this org instead of your own.")] = None,
    state: Annotated[RequestState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Limit = None,
    output: Output = Format.TABLE,
) -> None:
    """List what was asked for, newest first."""
    path = f"/org/{segment(org)}/access_request" if org else "/access_request"
    rows = list(client_of(context).items(path, limit, state=state))
    print_list(rows, ["createdAt", "username", "model", "state", "reason", "answer", "id"], output)


@request.command("show", epilog=examples(f"approval request show {_ID}"))
def show_request(context: typer.Context, request: RequestId, output: Output = Format.TABLE) -> None:
    """Show a request."""
    print_object(client_of(context).get(f"/access_request/{segment(request)}"), output)


@request.command("approve", epilog=examples(f"approval request approve {_ID}"))
def approve_request(
    context: typer.Context,
    request: RequestId,
    answer: Annotated[str | None, typer.Option(help="Some words to who has asked.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Approve the model for the org; in effect within a second."""
    print_object(client_of(context).post(f"/access_request/{segment(request)}/approve", {"answer": answer}), output)


@request.command("reject", epilog=examples(f"approval request reject {_ID} --reason 'Use the small one'"))
def reject_request(context: typer.Context, request: RequestId, reason: Reason) -> None:
    """Say no, and why."""
    client_of(context).post(f"/access_request/{segment(request)}/reject", {"reason": reason})
    say(f"Rejected {request}.")


@request.command("withdraw", epilog=examples(f"approval request withdraw {_ID}"))
def withdraw_request(context: typer.Context, request: RequestId) -> None:
    """Take back what you have asked for."""
    client_of(context).post(f"/access_request/{segment(request)}/withdraw")
    say(f"Withdrew {request}.")


def _body(models: list[str] | None, backend: str | None, pattern: str | None, reason: str | None, show: bool) -> dict[str, Any]:
    given = {"models": models or None, "backend": backend, "pattern": pattern, "reason": reason}
    return {name: value for name, value in given.items() if value is not None} | {"dryRun": show}


def _decide(context: typer.Context, verb: str, org: str, body: dict[str, Any], output: Format) -> None:
    view = client_of(context).post(f"/org/{segment(org)}/approval/{verb}", body)
    print_list(view["models"], ["model", "before", "after"], output)
    say(f"{view['count']} model{'' if view['count'] == 1 else 's'}{', not changed yet' if view['dryRun'] else ''}.")
