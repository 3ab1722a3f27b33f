"""Backends: the engines behind the gateway."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Output, Yes, confirm, examples
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Backends: the engines behind the gateway.", no_args_is_help=True)
Backend = Annotated[str, typer.Argument(metavar="BACKEND", help="Name or id of the backend.")]


@app.command(epilog=examples("backend add gpu-pool http://vllm.internal:8000"))
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name for commands.")],
    url: Annotated[str, typer.Argument(help="http(s)://host:port of an OpenAI-compatible engine.")],
    output: Output = Format.TABLE,
) -> None:
    """Register a backend."""
    print_object(client_of(context).post("/backend", {"name": name, "baseUrl": url}), output)


@app.command("list", epilog=examples("backend list"))
def list_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the backends."""
    print_list(list(client_of(context).items("/backend")), ["name", "health", "healthReason", "baseUrl", "models", "checkedAt", "id"], output)


@app.command(epilog=examples("backend check gpu-pool"))
def check(context: typer.Context, backend: Backend, output: Output = Format.TABLE) -> None:
    """Probe a backend now; exit code 6 if it is not healthy."""
    view = client_of(context).post(f"/backend/{segment(backend)}/check")
    print_object(view, output)
    if view["health"] != "healthy":
        raise CommandFailed(f"The backend '{backend}' is {view['health']}: {view.get('healthReason')}.", ExitCode.UNAVAILABLE)


@app.command(epilog=examples("backend remove gpu-pool --yes"))
def remove(context: typer.Context, backend: Backend, yes: Yes = False) -> None:
    """Remove a backend that no published model uses."""
    confirm(f"Remove the backend '{backend}'?", yes)
    client_of(context).delete(f"/backend/{segment(backend)}")
    say(f"Removed {backend}.")
