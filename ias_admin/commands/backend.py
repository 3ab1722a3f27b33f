"""Backends: the engines behind the gateway."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Output, Yes, confirm, examples
from ias_admin.commands.traffic import Traffic, traffic_of
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

_COLUMNS = ["name", "kind", "health", "healthReason", "availability", "latencyMs", "healthChangedAt", "baseUrl", "models", "checkedAt", "id"]
app = typer.Typer(help="Backends: the engines behind the gateway.", no_args_is_help=True)
ProbeInterval = Annotated[float | None, typer.Option(help="Seconds between two probes.", show_default=False)]
DiscoveryInterval = Annotated[float | None, typer.Option(help="Seconds between two lists of models.", show_default=False)]
Credential = Annotated[
    str | None, typer.Option(help="Name of the credential that it is shown: a file in IAS_BACKEND_CREDENTIALS_DIR of the API.", show_default=False)
]
Backend = Annotated[str, typer.Argument(metavar="BACKEND", help="Name or id of the backend.")]


@app.command(epilog=examples("backend add gpu-pool http://vllm.internal:8000", "backend add iris --kubernetes InferenceService/models/iris"))
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name for commands.")],
    url: Annotated[str | None, typer.Argument(help="http(s)://host:port of the engine.", show_default=False)] = None,
    kubernetes: Annotated[
        str | None,
        typer.Option(
            metavar="KIND/NAMESPACE/NAME",
            help="In place of a URL: the InferenceService, LLMInferenceService or Deployment of the engine.",
            show_default=False,
        ),
    ] = None,
    probe_interval: ProbeInterval = None,
    discovery_interval: DiscoveryInterval = None,
    credential: Credential = None,
    traffic: Traffic = None,
    output: Output = Format.TABLE,
) -> None:
    """Register a backend."""
    given = _given(probe_interval, discovery_interval, credential, traffic)
    print_object(client_of(context).post("/backend", {"name": name, **_place(url, kubernetes), **given}), output)


@app.command(
    "set",
    epilog=examples(
        "backend set gpu-pool --probe-interval 5", "backend set cloud --credential openai-2026", "backend set gpu-pool --traffic maxRequests=256"
    ),
)
def set_(
    context: typer.Context,
    backend: Backend,
    probe_interval: ProbeInterval = None,
    discovery_interval: DiscoveryInterval = None,
    credential: Credential = None,
    traffic: Traffic = None,
    output: Output = Format.TABLE,
) -> None:
    """Change how a backend is probed, what it is shown and what it can take, then probe it. 0 or '' gives the default back."""
    given = {name: value or None for name, value in _given(probe_interval, discovery_interval, credential, traffic).items()}
    if not given:
        raise typer.BadParameter("give at least one option")
    print_object(client_of(context).put(f"/backend/{segment(backend)}", given), output)


def _place(url: str | None, kubernetes: str | None) -> dict[str, object]:
    """Where the engine is."""
    if (url is None) == (kubernetes is None):
        raise typer.BadParameter("give either a URL or --kubernetes")
    if kubernetes is None:
        return {"baseUrl": url}
    parts = kubernetes.split("/")
    if len(parts) != 3:
        raise typer.BadParameter("--kubernetes takes KIND/NAMESPACE/NAME, as InferenceService/models/iris")
    return {"kubernetes": dict(zip(("kind", "namespace", "name"), parts, strict=True))}


def _given(probe_interval: float | None, discovery_interval: float | None, credential: str | None, traffic: list[str] | None) -> dict[str, object]:
    values = {
        "probeIntervalS": probe_interval,
        "discoveryIntervalS": discovery_interval,
        "credential": credential,
        "traffic": traffic_of(traffic) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


@app.command("list", epilog=examples("backend list"))
def list_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the backends."""
    print_list(list(client_of(context).items("/backend")), _COLUMNS, output)


@app.command(epilog=examples("backend show gpu-pool"))
def show(context: typer.Context, backend: Backend, output: Output = Format.TABLE) -> None:
    """Show a backend with what its last probes have seen."""
    print_object(client_of(context).get(f"/backend/{segment(backend)}"), output)


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
