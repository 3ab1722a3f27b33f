"""`ias gateway diff` and `apply`: what is rendered, beside what a cluster has."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from controlplane.gateway.ports import GatewayRejected, GatewayState, GatewayUnreachable
from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.changes import changes
from controlplane.kubernetes.cluster_api import KubernetesCluster
from controlplane.kubernetes.desired_state import StateInvalid, read_profile_file
from controlplane.kubernetes.difference import difference
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway, namespaces_of
from controlplane.kubernetes.profile import GatewayProfile, ProfileInvalid
from controlplane.kubernetes.render.rendering import render
from ias import logs
from ias.settings import ConfigError
from standalone.gateway_commands import HomeOption, ProfileOption, StateOption, load_state

_DIFFERS, _FAILED = 1, 2

KubeconfigOption = Annotated[
    Path | None,
    typer.Option(envvar=["IAS_KUBERNETES_KUBECONFIG", "KUBECONFIG"], help="How the cluster is reached.  [default: this pod's service account]"),
]
ConfirmOption = Annotated[float, typer.Option(min=0, help="Seconds in which controllers should judge what is written; 0: nobody is waited for.")]


def diff_command(profile: ProfileOption, kubeconfig: KubeconfigOption = None, state: StateOption = None, home: HomeOption = None) -> None:
    """Print what `apply` would change.

    Exit code 0: nothing, 1: something, 2: it cannot be said.
    """

    async def compare(wanted: GatewayState, chosen: GatewayProfile, cluster: KubernetesCluster) -> bool:
        desired = render(wanted, chosen)
        live = await cluster.live(namespaces_of(desired, chosen))
        todo = changes(desired, live)
        for line in difference(todo, live):
            typer.echo(line)
        return bool(todo)

    if _run("diff", compare, profile, kubeconfig, state, home):
        raise typer.Exit(_DIFFERS)


def apply_command(
    profile: ProfileOption,
    kubeconfig: KubeconfigOption = None,
    state: StateOption = None,
    home: HomeOption = None,
    confirm_seconds: ConfirmOption = 10.0,
) -> None:
    """Bring the cluster to what `render` prints.

    The control plane does the same. Fields of other managers are left to them. Exit code 2: it failed.
    """

    async def apply(wanted: GatewayState, chosen: GatewayProfile, cluster: KubernetesCluster) -> bool:
        await KubernetesGateway(cluster, chosen, confirm_s=confirm_seconds).apply(wanted)
        return True

    _run("apply", apply, profile, kubeconfig, state, home)
    typer.echo("the cluster is as it should be")


def _run(
    command: str,
    work: Callable[[GatewayState, GatewayProfile, KubernetesCluster], Awaitable[bool]],
    profile: Path,
    kubeconfig: Path | None,
    state: Path | None,
    home: Path | None,
) -> bool:
    async def connected(wanted: GatewayState, chosen: GatewayProfile) -> bool:
        async with open_api(kubeconfig) as api:
            return await work(wanted, chosen, KubernetesCluster(api, chosen.gateway, chosen.namespace))

    logs.configure("ias-gateway", "warning")  # what is logged is talk, and goes to stderr; of what was done, stdout tells
    try:
        return asyncio.run(connected(load_state(state, home), read_profile_file(profile)))
    except (ConfigError, GatewayRejected, GatewayUnreachable, ProfileInvalid, StateInvalid, OSError) as error:
        typer.echo(f"ias gateway {command}: {error}", err=True)
        raise typer.Exit(_FAILED) from None
