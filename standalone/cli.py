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
from standalone.home import default_path, service_addresses
from standalone.up import Options, up

_ENGINE_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="IAS, the front door for all AI inference, on one machine.")
spool = typer.Typer(no_args_is_help=True, help="Look into the spools of usage events.")
app.add_typer(spool, name="spool")
audit = typer.Typer(no_args_is_help=True, help="The audit log in the database.")
app.add_typer(audit, name="audit")
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Folder of a service that runs here.  [default: $IAS_HOME or ~/.local/share/ias]", show_default=False)
]


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="ias")


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Take what stands before a command."""


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
    """Start the whole service, until Ctrl-C.

    PostgreSQL, Valkey, Envoy and our services run on this machine; what dies is started again. Data stays in the home: start again on it
    to go on. At the first start the administrator's password is shown once.
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
    """Run a usage worker alone.

    It is configured by IAS_* variables, as `python -m controlplane worker` is.
    """
    _become("controlplane", "worker")


@app.command()
def reconcile(home: HomeOption = None) -> None:
    """Compare what admission counts with the ledger.

    Exit code 1: they differ. IAS_DATABASE_URL and IAS_VALKEY_URL say where both are; without them those of the home. Requests that end
    right now are in the ledger a moment later than in admission: a difference that stays is one.
    """
    _become("controlplane", "reconcile", environment=_of_the_service(home, "IAS_DATABASE_URL", "IAS_VALKEY_URL"))


@audit.command("verify")
def verify_audit(
    home: HomeOption = None,
    expect: Annotated[list[str] | None, typer.Option(metavar="NUMBER:HASH", help="A seal noted down before; may be repeated.")] = None,
) -> None:
    """Check that the audit log is what was sealed; exit code 1 and the first broken batch when it is not.

    IAS_DATABASE_URL says where it is; without it the home does. A chain cannot show that its end was cut off: compare it with a head
    that was noted down, printed here or logged by the worker ("audit log sealed").
    """
    expected = {"IAS_EXPECTED_SEALS": ",".join(expect)} if expect else {}
    _become("controlplane", "verify-audit", environment=_of_the_service(home, "IAS_DATABASE_URL") | expected)


@spool.command()
def inspect(directory: Annotated[Path, typer.Argument(help="A spool directory of extproc.")]) -> None:
    """Print every record of a spool as one JSON line, oldest first. Reads only; the spool may be in use."""
    raise typer.Exit(inspect_spool.main([str(directory)], sys.stdout.buffer))


@app.command("gateway", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
def gateway_command(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Print or apply what is written on Kubernetes."""
    _become("standalone.gateway_cli", *(arguments or []))


def _become(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Go on as another program: what only that one loads is not loaded for `ias up`."""
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment or os.environ)  # noqa: S606  # no shell is wanted


def _of_the_service(home: Path | None, *needed: str) -> dict[str, str]:
    """Our environment, with the addresses of the service of a home where it has none."""
    place = home or default_path()
    environment = {**service_addresses(place), **os.environ}
    if missing := [name for name in needed if not environment.get(name) and not environment.get(f"{name}_FILE")]:
        typer.echo(f"ias: No service was started in {place}. Name its folder with --home, or set {' and '.join(missing)}.", err=True)
        raise typer.Exit(2)
    return environment


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version("ias-gateway"))


if __name__ == "__main__":
    main()
