"""The command `ias`: the whole service on one machine."""

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from controlplane.backends.rules import canonical_base_url
from controlplane.gateway.bootstrap import Metering
from extproc import inspect_spool
from standalone.gateway_cluster import apply_command, diff_command
from standalone.gateway_commands import gateway
from standalone.home import default_path, service_addresses
from standalone.up import Options, up

_ENGINE_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="IAS, the front door for all AI inference, on one machine.")
spool = typer.Typer(no_args_is_help=True, help="Look into the spools of usage events.")
app.add_typer(spool, name="spool")
audit = typer.Typer(no_args_is_help=True, help="The audit log in the database.")
app.add_typer(audit, name="audit")
gateway.command("diff")(diff_command)
gateway.command("apply")(apply_command)
app.add_typer(gateway, name="gateway")


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="ias")


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise typer.BadParameter(f"'{value}' is not an IP address; use 127.0.0.1 for this machine alone, 0.0.0.0 for everybody") from None


def _engines(values: list[str]) -> dict[str, str]:
    """Read NAME=URL options; typer shows the sentence of a BadParameter and exits with 2."""
    engines: dict[str, str] = {}
    for value in values:
        name, equals, url = value.partition("=")
        if not equals or not _ENGINE_NAME.fullmatch(name):
            raise typer.BadParameter(f"'{value}' is not NAME=URL, for example vllm=http://127.0.0.1:8000")
        if name in engines:
            raise typer.BadParameter(f"the engine '{name}' is given twice")
        try:
            engines[name] = canonical_base_url(url)
        except ValueError as error:
            raise typer.BadParameter(f"'{url}': {error}") from None
    return engines


def _engine_keys(values: list[str], engines: Mapping[str, str]) -> dict[str, Path]:
    keys: dict[str, Path] = {}
    for value in values:
        name, equals, file = value.partition("=")
        if not equals or name not in engines:
            raise typer.BadParameter(f"'{value}' is not NAME=FILE with the name of an --engine")
        if not os.access(file, os.R_OK) or not Path(file).is_file():
            raise typer.BadParameter(f"the key of the engine '{name}' cannot be read: {file}")
        keys[name] = Path(file).absolute()
    return keys


@app.command("up")
def up_command(
    home: Annotated[
        Path | None, typer.Option(help="Folder for data, secrets and logs.  [default: $IAS_HOME or ~/.local/share/ias]", show_default=False)
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write addresses and, at the first start, credentials to this file as JSON (mode 0600).")
    ] = None,
    gateway_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for inference requests; 0: any free one.")] = 8080,
    api_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the REST API; 0: any free one.")] = 8085,
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URL", help="An engine to register as a backend; may be repeated. Without any, a simulator runs as 'sim'."),
    ] = None,
    engine_key: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="The file with the key that an engine demands (vLLM: --api-key); a new key in it is taken by itself."),
    ] = None,
    metering: Annotated[
        Metering,
        typer.Option(help="How answers are followed: 'inline', or 'shadow', which only watches and needs engines that report usage unasked."),
    ] = "inline",
    host: Annotated[str, typer.Option(help="IP address that gateway and API listen on.", callback=_ip_address)] = "127.0.0.1",
) -> None:
    """Start PostgreSQL, Valkey, Envoy and all services, and keep them running until Ctrl-C.

    Data stays in the home: start again on it to go on. At the first start the administrator's password is shown once.
    """
    options = Options(
        home=home or default_path(),
        host=host,
        gateway_port=gateway_port,
        api_port=api_port,
        engines=(engines := _engines(engine or [])),
        engine_keys=_engine_keys(engine_key or [], engines),
        metering=metering,
        ready_file=ready_file.absolute() if ready_file else None,
    )
    raise typer.Exit(up(options))


@app.command()
def worker() -> None:
    """Run a usage worker alone, configured by IAS_* variables as in `python -m controlplane worker`."""
    os.execv(sys.executable, [sys.executable, "-m", "controlplane", "worker"])  # noqa: S606  # no shell is wanted


@app.command()
def reconcile(
    home: Annotated[
        Path | None, typer.Option(help="Folder of a service that runs here.  [default: $IAS_HOME or ~/.local/share/ias]", show_default=False)
    ] = None,
) -> None:
    """Compare what admission counts of every budget with the ledger; exit code 1 when they differ.

    IAS_DATABASE_URL and IAS_VALKEY_URL say where both are; without them those of the home. Requests that end right now are in the
    ledger a moment later than in admission: a difference that stays is one.
    """
    environment = {**service_addresses(home or default_path()), **os.environ}
    os.execve(sys.executable, [sys.executable, "-m", "controlplane", "reconcile"], environment)  # noqa: S606  # no shell is wanted


@audit.command("verify")
def verify_audit(
    home: Annotated[
        Path | None, typer.Option(help="Folder of a service that runs here.  [default: $IAS_HOME or ~/.local/share/ias]", show_default=False)
    ] = None,
    expect: Annotated[list[str] | None, typer.Option(metavar="NUMBER:HASH", help="A seal noted down before; may be repeated.")] = None,
) -> None:
    """Check that the audit log is what was sealed; exit code 1 and the first broken batch when it is not.

    IAS_DATABASE_URL says where it is; without it the home does. A chain cannot show that its end was cut off: compare it with a head
    that was noted down, printed here or logged by the worker ("audit log sealed").
    """
    expected = {"IAS_EXPECTED_SEALS": ",".join(expect)} if expect else {}
    environment = {**service_addresses(home or default_path()), **os.environ, **expected}
    os.execve(sys.executable, [sys.executable, "-m", "controlplane", "verify-audit"], environment)  # noqa: S606  # no shell is wanted


@spool.command()
def inspect(directory: Annotated[Path, typer.Argument(help="A spool directory of extproc.")]) -> None:
    """Print every record of a spool as one JSON line, oldest first. Reads only; the spool may be in use."""
    raise typer.Exit(inspect_spool.main([str(directory)], sys.stdout.buffer))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version("ias-gateway"))


if __name__ == "__main__":
    main()
