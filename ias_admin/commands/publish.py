"""Publications as a whole: taking over those of the service that came before. One publication: `model.py`."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from ias_admin.commands.options import Output, examples
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.migration import COLUMNS, Item, KeysFile, Step, Wishes, carry_out, plan
from ias_admin.old_publications import MAX_BYTES, NotAnExport, OldPublication, read_export
from ias_admin.output import Format, print_list, say
from ias_admin.session import client_of

app = typer.Typer(help="Take over publications of the service before IAS.", no_args_is_help=True)


@app.callback()
def publish() -> None:
    """Take over publications of the service before IAS."""


@app.command(
    epilog=examples(
        "publish migrate backup-published-models.yaml",
        "publish migrate backup-published-models.yaml --apply --keys-file new-keys.jsonl",
        "publish migrate backup-published-models.yaml --tenant tenant-a=acme --hostname api.example.com",
    )
)
def migrate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `kubectl get configmap -n NAMESPACE -o yaml` wrote.")],
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this nothing is changed and the plan is shown.")] = False,
    keys_file: Annotated[Path | None, typer.Option(help="Keep the new API keys in this file, which only you can read.")] = None,
    tenant: Annotated[
        list[str] | None, typer.Option(metavar="OLD=SLUG", help="The org of an old tenant; repeatable; by default of its name.")
    ] = None,
    hostname: Annotated[str | None, typer.Option(help="Public host name for all of them.")] = None,
    backend: Annotated[str | None, typer.Option(help="Registered backend of all of them; by default the one that serves each.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Publish what an older installation had published. Safe to repeat. Old API keys are not taken over: each model gets a new one."""
    wishes = Wishes(dict(_pair(one) for one in tenant or ()), hostname, backend)
    found = _read(file)
    client = client_of(context)
    items = plan(client, found, wishes)
    if apply:
        keys = KeysFile(keys_file) if keys_file else None
        try:
            items = list(carry_out(client, items, keys))
        finally:
            if keys:
                keys.close()
    print_list([item.row() for item in items], COLUMNS, output)
    _sum_up(items, apply, keys_file)


def _read(file: Path) -> list[OldPublication]:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        return read_export(content)
    except OSError as error:
        raise CommandFailed(f"Cannot read {file}: {error.strerror}.", ExitCode.USAGE) from error
    except NotAnExport as error:
        raise CommandFailed(f"{file}: {error}", ExitCode.USAGE) from None


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise CommandFailed(f"'{text}' is not OLD=SLUG.", ExitCode.USAGE)
    return old, new


def _sum_up(items: list[Item], applied: bool, keys_file: Path | None) -> None:
    """Say how many went how, and what comes next."""
    counts = Counter(item.step for item in items)
    say(", ".join(f"{number} {step}" for step, number in counts.items()) or "There is no publication in the file.")
    if counts[Step.PUBLISH] and not applied:
        say("Nothing was changed: this was a plan. Add --apply to carry it out.")
    if counts[Step.PUBLISHED]:
        kept = f"New API keys are in {keys_file}." if keys_file else "Their new API keys were not kept: make others with ias-admin model rotate-key."
        say(f"{kept} Old keys do not work here.")
    if bad := sum(item.is_bad for item in items):
        raise CommandFailed(f"{bad} of {len(items)} {'were' if applied else 'will'} not {'' if applied else 'be '}taken over; the table says why.")
