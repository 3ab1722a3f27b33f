"""Usage."""

from typing import Annotated, Any

import typer

from ias_admin.client import segment
from ias_admin.commands.options import From, Org, Output, To, examples, period
from ias_admin.output import Format, print_list, print_object, print_raw
from ias_admin.session import client_of

app = typer.Typer(help="Usage: your own, of an org, of the whole system.", no_args_is_help=True)
OfOrg = Annotated[str | None, typer.Option("--org", metavar="ORG", help="Of this org; without --org and --system your own.")]
OfSystem = Annotated[bool, typer.Option("--system", help="Of all orgs (System Admin).")]
Model = Annotated[str | None, typer.Option(help="Of this model alone.")]
Key = Annotated[str | None, typer.Option(metavar="ID", help="Of this key alone.")]
User = Annotated[str | None, typer.Option(metavar="ID", help="Of this user alone.")]

_SUMS = ["requests", "errors", "inputTokens", "outputTokens", "cachedInputTokens", "latency.p50Ms", "latency.p99Ms"]
_DIMENSIONS = "org, user, key, publication, model, endpoint or outcome"


@app.command(epilog=examples("usage own --from 2026-11-01"))
def own(context: typer.Context, begin: From = None, end: To = None, output: Output = Format.TABLE) -> None:
    """Show your own usage by model, key and outcome."""
    _print(client_of(context).get("/analytics/own", **period(begin, end)), output)


@app.command("org", epilog=examples("usage org acme --from 2026-11-01 --to 2026-12-01"))
def of_org(context: typer.Context, org: Org, begin: From = None, end: To = None, output: Output = Format.TABLE) -> None:
    """Show the usage of an org by model, user, key and outcome."""
    _print(client_of(context).get(f"/analytics/org/{segment(org)}", **period(begin, end)), output)


@app.command("system", epilog=examples("usage system -o json"))
def of_system(context: typer.Context, begin: From = None, end: To = None, output: Output = Format.TABLE) -> None:
    """Show the usage of all orgs."""
    _print(client_of(context).get("/analytics/system", **period(begin, end)), output)


@app.command(epilog=examples("usage series --org acme --interval hour --from 2026-11-27", "usage series --by model -o csv"))
def series(
    context: typer.Context,
    org: OfOrg = None,
    system: OfSystem = False,
    interval: Annotated[str, typer.Option(help="quarter_hour, hour or day.")] = "day",
    by: Annotated[str | None, typer.Option(help=f"A row for each of these, too: {_DIMENSIONS}.")] = None,
    model: Model = None,
    key: Key = None,
    user: User = None,
    begin: From = None,
    end: To = None,
    output: Output = Format.TABLE,
) -> None:
    """Show usage over time (UTC)."""
    wanted = {"interval": interval, "by": by, "model": model, "key": key, "user": user, **period(begin, end)}
    points = client_of(context).get(f"{_path(org, system)}/series", **wanted)["points"]
    print_list(points, ["start", *(["group"] if by else []), *_SUMS], output)


@app.command(epilog=examples("usage top --org acme --by user", "usage top --system --by org --order errors --limit 5"))
def top(
    context: typer.Context,
    org: OfOrg = None,
    system: OfSystem = False,
    by: Annotated[str, typer.Option(help=f"{_DIMENSIONS}.")] = "model",
    order: Annotated[str, typer.Option(help="By what: tokens, requests or errors.")] = "tokens",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 10,
    model: Model = None,
    key: Key = None,
    user: User = None,
    begin: From = None,
    end: To = None,
    output: Output = Format.TABLE,
) -> None:
    """Show who or what uses most."""
    wanted = {"by": by, "order": order, "limit": limit, "model": model, "key": key, "user": user, **period(begin, end)}
    print_list(client_of(context).get(f"{_path(org, system)}/top", **wanted)["items"], ["name", "group", *_SUMS, "errorRate"], output)


@app.command(epilog=examples("usage report --org acme --by user --by model > november.csv", "usage report --system --by org --interval day"))
def report(
    context: typer.Context,
    org: OfOrg = None,
    system: OfSystem = False,
    by: Annotated[list[str] | None, typer.Option(help=f"A row for each combination, repeatable: {_DIMENSIONS}.")] = None,
    interval: Annotated[str | None, typer.Option(help="A row for each quarter_hour, hour or day, too.")] = None,
    model: Model = None,
    begin: From = None,
    end: To = None,
) -> None:
    """Write a report to stdout as CSV."""
    wanted = {"interval": interval, "model": model, **period(begin, end)}
    print_raw(client_of(context).text(f"{_path(org, system)}/report.csv", "text/csv", by=by or None, **wanted))


def _path(org: str | None, system: bool) -> str:
    if system and org:
        raise typer.BadParameter("--org and --system exclude each other")
    return "/analytics/system" if system else f"/analytics/org/{segment(org)}" if org else "/analytics/own"


def _print(usage: Any, output: Format) -> None:
    """On a terminal each breakdown has the columns that a person compares; the rest is in JSON."""
    if output is not Format.TABLE:
        print_object(usage, output)
        return
    breakdowns = {name: rows for name, rows in usage.items() if isinstance(rows, list)}
    print_object({name: value for name, value in usage.items() if name not in breakdowns}, output)
    for name, rows in breakdowns.items():
        if rows:
            typer.echo(f"\nby {name.removeprefix('by').lower()}")
            print_list(rows, [*(column for column in rows[0] if isinstance(rows[0][column], str | None)), *_SUMS], output)
