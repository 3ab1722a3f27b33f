"""`ias gateway …`: what is written into a Kubernetes cluster."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from controlplane.gateway.ports import GatewayRejected, GatewayState
from controlplane.kubernetes.desired_state import StateInvalid, read_desired_state, read_profile_file, read_state_file
from controlplane.kubernetes.profile import ProfileInvalid
from controlplane.kubernetes.render.rate_limits import rate_limit_rules
from controlplane.kubernetes.render.rendering import render
from controlplane.settings import DatabaseSettings
from ias.settings import ConfigError
from standalone.home import default_path, service_addresses

gateway = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The gateway on Kubernetes: what is written there.")

ProfileOption = Annotated[Path, typer.Option(envvar="IAS_KUBERNETES_PROFILE", help="What the installation chooses, as YAML (docs/kubernetes.md).")]
StateOption = Annotated[
    Path | None, typer.Option("--state", help="What to serve, as JSON.  [default: what is published, out of PostgreSQL]", show_default=False)
]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Folder of a service that runs here, whose database is read unless IAS_DATABASE_URL says which.")
]


@gateway.command("render")
def render_command(profile: ProfileOption, state: StateOption = None, home: HomeOption = None) -> None:
    """Print every manifest of the gateway as YAML.

    They are in the order of (apiVersion, kind, namespace, name).
    """
    try:
        manifests = render(load_state(state, home), read_profile_file(profile))
    except (ConfigError, GatewayRejected, ProfileInvalid, StateInvalid, OSError) as error:
        typer.echo(f"ias gateway render: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(yaml.dump_all(manifests, Dumper=_Plain, sort_keys=False, width=160), nl=False)


@gateway.command("rate-limits")
def rate_limits_command(profile: ProfileOption) -> None:
    """Print IAS_RATE_LIMITS for the Rate Limit Service.

    It has the limits of the profile, of which Envoy Gateway tells that service nothing.
    """
    try:
        rules = rate_limit_rules(read_profile_file(profile))
    except (ProfileInvalid, OSError) as error:
        typer.echo(f"ias gateway rate-limits: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(rules))


def load_state(path: Path | None, home: Path | None) -> GatewayState:
    """Read the state from a file, else from the database; raises ConfigError or StateInvalid."""
    if path is not None:
        return read_state_file(path)
    for name, value in service_addresses(home or default_path()).items():
        if name.removesuffix("_FILE") not in os.environ:
            os.environ.setdefault(name, value)
    return asyncio.run(read_desired_state(DatabaseSettings.load().database_url.get_secret_value()))


class _Plain(yaml.SafeDumper):
    """YAML as people write it, in which nothing is an alias of something above."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
