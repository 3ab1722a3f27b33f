"""One request explained."""

from typing import Annotated, Any

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Output
from ias_admin.output import Format, print_document, print_list, tell
from ias_admin.session import client_of

RequestId = Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The x-request-id of its answer, or its reservation id.")]


def explain(context: typer.Context, request_id: RequestId, output: Output = Format.TABLE) -> None:
    """Tell what happened to a request.

    In order: who asked, which limits it met, where it went, how it ended, what it cost.
    """
    items = client_of(context).get(f"/requests/{segment(request_id)}")["items"]
    if output is Format.CSV:
        print_list(items, ["decision", "requestId", "username", "keyName", "model", "status", "httpStatus", "outcome", "chargedTokens"], output)
    elif output is not Format.TABLE:
        print_document(items, output)
    else:
        tell("\n\n".join(_page(item) for item in items))


def _page(item: dict[str, Any]) -> str:
    ids = f"Request {item['requestId']}" + (f", reservation {item['eventId']}" if "eventId" in item else "")
    steps = [f"  {_clock(step['at'])}  {step['text']}" for step in item["steps"]]
    return "\n".join([f"{ids}: {item['decision']}", *steps])


def _clock(moment: str) -> str:
    """Date and time to the millisecond, UTC, all of one width."""
    date, _, time = moment.rstrip("Z").partition("T")
    seconds, _, fraction = time.partition(".")
    return f"{date} {seconds}.{fraction[:3]:0<3}"
