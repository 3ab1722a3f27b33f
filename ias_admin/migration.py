"""Takes old publications over, one by one: first a plan, which changes nothing, then what the plan says.

Both look at what is there now, so a migration that was interrupted goes on where it stopped, and one that is done does nothing.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ias_admin.client import Client, segment
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.old_publications import OldPublication

_STOPS = frozenset({ExitCode.AUTH, ExitCode.UNAVAILABLE})
"""What is wrong for all that follow, too."""


class Step(StrEnum):
    """What is, or was, done about one publication."""

    PUBLISH = "publish"
    EXISTS = "exists"
    REFUSED = "refused"
    PUBLISHED = "published"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Item:
    """One publication and what happens to it."""

    old: OldPublication
    tenant: str
    config: dict[str, Any]
    step: Step
    detail: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether somebody must look at it."""
        return self.step in {Step.REFUSED, Step.FAILED}

    def row(self) -> dict[str, Any]:
        """What is printed of it."""
        limits = ", ".join(f"{name}={value}" for name, value in self.config.get("rateLimiting", {}).items())
        address = self.config.get("publicHostname", "") + self.config.get("externalPath", "")
        return {"tenant": self.tenant, "model": self.old.model, "what": self.step, "address": address, "limits": limits, "detail": self.detail}


COLUMNS = ("tenant", "model", "what", "address", "limits", "detail")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the options of the command say for all publications."""

    tenants: Mapping[str, str]
    """Another slug for a tenant of the export."""
    hostname: str | None = None
    backend: str | None = None


def plan(client: Client, found: Sequence[OldPublication], wishes: Wishes) -> list[Item]:
    """Say what would happen to each, after a look at what is there. Changes nothing."""
    served = _served(client)
    orgs: dict[str, bool] = {}
    taken: dict[str, str] = {}
    items = []
    for old in found:
        item = _wish(old, wishes)
        if not item.is_bad and (other := taken.setdefault(old.model, old.source)) != old.source:
            advice = f"ias-admin model publish OTHER-NAME --org {item.tenant} --upstream-model {old.model}"
            item = replace(item, step=Step.REFUSED, detail=f"the name is that of {other}; names are unique now: {advice}")
        if not item.is_bad:
            item = _against(client, item, served, orgs)
        items.append(item)
    return items


def carry_out(client: Client, items: Sequence[Item], keys: "KeysFile | None") -> Iterator[Item]:
    """Publish what the plan says, and return each with how it went. What is wrong with one stops no other."""
    for number, item in enumerate(items):
        if item.step is not Step.PUBLISH:
            yield item
            continue
        try:
            made = client.post(f"/models/{segment(item.old.model)}/publish", {"config": {"tenantId": item.tenant, **item.config}})
        except CommandFailed as failure:
            yield replace(item, step=Step.FAILED, detail=str(failure))
            if failure.exit_code in _STOPS:
                yield from (replace(left, detail="not tried") if left.step is Step.PUBLISH else left for left in items[number + 1 :])
                return
            continue
        if keys is not None:
            keys.keep(item.tenant, item.old.model, made["apiKey"])
        yield replace(item, step=Step.PUBLISHED, detail=str(made["endpoint"]))


class KeysFile:
    """Where new keys are kept, a line of JSON each: readable for its owner alone. Lines are added to a file that is there."""

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise CommandFailed(f"Cannot write {path}: {error.strerror}.") from error
        self._file = os.fdopen(descriptor, "a", encoding="utf-8")
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            self._file.close()
            raise CommandFailed(f"Others may read {path}. Name a new file, or: chmod 600 {path}", ExitCode.USAGE)

    def keep(self, tenant: str, model: str, api_key: str) -> None:
        """Write a key down before anything else happens."""
        self._file.write(json.dumps({"tenantId": tenant, "modelName": model, "apiKey": api_key}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _wish(old: OldPublication, wishes: Wishes) -> Item:
    config = dict(old.config)
    if wishes.hostname:
        config["publicHostname"] = wishes.hostname
    if wishes.backend:
        config["backend"] = wishes.backend
    tenant = wishes.tenants.get(old.tenant, old.tenant)
    allowed = config.get("authentication", {}).get("allowedTenants")
    if isinstance(allowed, list):
        config["authentication"] = {**config["authentication"], "allowedTenants": [wishes.tenants.get(str(name), str(name)) for name in allowed]}
    return Item(old, tenant, config, Step.REFUSED if old.wrong else Step.PUBLISH, old.wrong or "; ".join(old.notes))


def _against(client: Client, item: Item, served: Mapping[str, bool], orgs: dict[str, bool]) -> Item:
    """Hold a wish against what is there."""
    if (current := _get(client, f"/models/{segment(item.old.model)}/publish")) is not None:
        if current["tenantId"] != item.tenant:
            return replace(item, step=Step.REFUSED, detail=f"the name belongs to the tenant '{current['tenantId']}'; names are unique now")
        return replace(item, step=Step.EXISTS, detail=_differences(current, item.config))
    if item.tenant not in orgs:
        orgs[item.tenant] = _get(client, f"/org/{segment(item.tenant)}") is not None
    if not orgs[item.tenant]:
        advice = f'ias-admin org create NAME --slug "{item.tenant}", or --tenant {item.tenant}=SLUG'
        return replace(item, step=Step.REFUSED, detail=f"there is no org '{item.tenant}': {advice}")
    if "backend" not in item.config and not served.get(item.old.model, False):
        reason = "is not healthy" if item.old.model in served else "is registered"
        return replace(item, step=Step.REFUSED, detail=f"no backend that serves it {reason}: ias-admin backend add NAME URL")
    return item


def _served(client: Client) -> dict[str, bool]:
    """Models of all backends; True: of one that is healthy."""
    found: dict[str, bool] = {}
    for backend in client.items("/backend"):
        for model in backend["models"]:
            found[model] = found.get(model, False) or backend["health"] == "healthy"
    return found


def _differences(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What is other than it was: it was changed since, and stays."""
    limits = wanted.get("rateLimiting", {})
    pairs = [(name, current["rateLimiting"].get(name), value) for name, value in limits.items()]
    pairs += [(name, current.get(name), wanted[name]) for name in ("publicHostname", "externalPath") if name in wanted]
    found = [f"{name} is {now}, was {before}" for name, now, before in pairs if now != before]
    return f"left as it is: {', '.join(found)}" if found else "as it was"


def _get(client: Client, path: str) -> Any:
    try:
        return client.get(path)
    except CommandFailed as failure:
        if failure.exit_code is ExitCode.NOT_FOUND:
            return None
        raise
