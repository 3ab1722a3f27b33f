"""Budgets."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Org, Output, Yes, confirm, examples
from ias_admin.commands.whom import KeyOption, OrgOption, UserOption, path_of
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Token budgets of an org, a user or a key, by day, week or month (UTC).", no_args_is_help=True)

_COLUMNS = ["period", "tokens", "ceilingTokens", "extraTokens", "effectiveTokens", "spent", "held", "free", "resetsAt", "dryRun", "source"]
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


class Period(StrEnum):
    """The calendar periods."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def tokens_of(text: str) -> int:
    """Read a number of tokens as people write it."""
    amount = _AMOUNT.fullmatch(text)
    tokens = Decimal(amount[1]) * _FACTORS[amount[2]] if amount else Decimal("0.5")
    if tokens != int(tokens):
        raise typer.BadParameter(f"'{text}' is not a number of tokens like 500000, 1.5M or 2G.")
    return int(tokens)


Tokens = Annotated[int, typer.Argument(parser=tokens_of, metavar="TOKENS", help="How many: 500000, 1.5M or 2G; 0 lets nothing pass.")]
InPeriod = Annotated[Period, typer.Argument(metavar="PERIOD", help="day, week or month.")]


@app.command(epilog=examples("budget show --org acme"))
def show(context: typer.Context, org: OrgOption = None, user: UserOption = None, key: KeyOption = None, output: Output = Format.TABLE) -> None:
    """Show budgets with what was spent, is held by running requests, and is free."""
    client = client_of(context)
    print_list(client.get(f"{path_of(client, org, user, key)}/budget")["items"], _COLUMNS, output)


@app.command("set", epilog=examples("budget set month 500M --org acme --threshold 80 --threshold 100"))
def set_(
    context: typer.Context,
    period: InPeriod,
    tokens: Tokens,
    org: OrgOption = None,
    user: UserOption = None,
    key: KeyOption = None,
    threshold: Annotated[
        list[int] | None, typer.Option(min=1, max=1000, help="Percent at which an alert is raised; repeatable; 50, 80, 100.")
    ] = None,
    dry_run: Annotated[bool | None, typer.Option("--count-only/--enforce", help="Only count what would be refused.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Set a budget; what was spent in this period counts. In effect within a second."""
    given = {"tokens": tokens, "thresholds": list(threshold) if threshold else None, "dryRun": dry_run}
    client = client_of(context)

    def change(budget: dict[str, Any] | None) -> dict[str, Any]:
        kept = {name: budget[name] for name in ("thresholds", "dryRun")} if budget else {}
        return kept | {name: value for name, value in given.items() if value is not None}

    print_object(client.change(f"{path_of(client, org, user, key)}/budget/{period}", change), output)


@app.command(epilog=examples("budget increase month 50M --org acme --until 2027-01-01"))
def increase(
    context: typer.Context,
    period: InPeriod,
    tokens: Tokens,
    until: Annotated[datetime, typer.Option(help="End of the increase, UTC.")],
    org: OrgOption = None,
    user: UserOption = None,
    key: KeyOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Put tokens on top of a budget for a while; an increase before ends by it."""
    client = client_of(context)
    body = {"tokens": tokens, "until": until.replace(tzinfo=UTC).isoformat()}
    print_object(client.put(f"{path_of(client, org, user, key)}/budget/{period}/increase", body), output)


@app.command("end-increase", epilog=examples("budget end-increase month --org acme"))
def end_increase(context: typer.Context, period: InPeriod, org: OrgOption = None, user: UserOption = None, key: KeyOption = None) -> None:
    """End an increase now."""
    client = client_of(context)
    client.delete(f"{path_of(client, org, user, key)}/budget/{period}/increase")
    say("Ended.")


@app.command(epilog=examples("budget lift month --org acme --yes"))
def lift(context: typer.Context, period: InPeriod, org: OrgOption = None, user: UserOption = None, key: KeyOption = None, yes: Yes = False) -> None:
    """Take a budget away; the ceiling of an org stays."""
    client = client_of(context)
    path = path_of(client, org, user, key)
    confirm(f"Lift the budget of {path[1:]} per {period}?", yes)
    client.delete(f"{path}/budget/{period}")
    say("Lifted.")


@app.command(epilog=examples("budget ceiling acme month 1G"))
def ceiling(context: typer.Context, org: Org, period: InPeriod, tokens: Tokens, output: Output = Format.TABLE) -> None:
    """Say what an org's budget may be at most, whatever its admins set (System Admin)."""
    print_object(client_of(context).put(f"/org/{segment(org)}/budget/{period}/ceiling", {"tokens": tokens}), output)


@app.command("lift-ceiling", epilog=examples("budget lift-ceiling acme month --yes"))
def lift_ceiling(context: typer.Context, org: Org, period: InPeriod, yes: Yes = False) -> None:
    """Take an org's ceiling away; the budget that it has set stays (System Admin)."""
    confirm(f"Lift the ceiling of {org} per {period}?", yes)
    client_of(context).delete(f"/org/{segment(org)}/budget/{period}/ceiling")
    say("Lifted.")


@app.command(epilog=examples("budget alerts acme --limit 10"))
def alerts(context: typer.Context, org: Org, limit: Limit = 50, output: Output = Format.TABLE) -> None:
    """List the thresholds that budgets of an org have reached, newest first."""
    columns = ["createdAt", "scope", "period", "periodStart", "threshold", "tokens", "spent", "subjectId"]
    print_list(list(client_of(context).items(f"/org/{segment(org)}/budget_alert", limit)), columns, output)
