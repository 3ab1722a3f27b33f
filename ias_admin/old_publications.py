"""Reads the publications of the management service that came before IAS out of exported ConfigMaps. Pure.

`kubectl get configmap -n tenant-a -o yaml` gives a list of everything in a namespace. Of each publication it has one ConfigMap
`published-model-metadata-<model>` (labels `app: published-model`, `type: metadata`) whose `metadata.json` describes it. That JSON holds the
old API key in plain text, twice: as `apiKey`, and inside the examples of `documentation`. Neither is read here, and no message quotes the file.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_PUBLICATIONS: Final = 5_000
_PREFIX: Final = "published-model-metadata-"
_LIMITS: Final = ("requestsPerMinute", "requestsPerHour", "tokensPerHour", "burstLimit")
_TYPES: Final = frozenset({"openai", "traditional"})
_LIVING: Final = frozenset({"", "active", "published"})
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotAnExport(Exception):
    """The file is not what kubectl writes; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class OldPublication:
    """What one ConfigMap says, in the words of today's API."""

    source: str
    """namespace/name of the ConfigMap."""
    model: str
    tenant: str
    config: dict[str, Any] = field(default_factory=dict)
    """The `config` of a publication, without its tenant."""
    notes: tuple[str, ...] = ()
    """What is not taken over as it was, and why."""
    wrong: str = ""
    """Why it cannot be taken over; empty: it can."""


def read_export(content: bytes) -> list[OldPublication]:
    """Return every publication in an export, in order. ConfigMaps of other things are passed over. Raises NotAnExport."""
    if len(content) > MAX_BYTES:
        raise NotAnExport(f"The file is larger than {MAX_BYTES // (1024 * 1024)} MiB. Export one namespace at a time.")
    found = [_read(item) for document in _documents(content) for item in _items(document) if _is_publication(item)]
    if len(found) > MAX_PUBLICATIONS:
        raise NotAnExport(f"The file has more than {MAX_PUBLICATIONS} publications. Export one namespace at a time.")
    return found


def _documents(content: bytes) -> list[Any]:
    try:
        text = content.decode()
        # kubectl writes none; a few lines of them can stand for gigabytes.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
            raise NotAnExport("The file has YAML aliases (*name), which kubectl does not write. Export it anew.")
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except UnicodeDecodeError:
        raise NotAnExport("The file is not text in UTF-8. Export it anew: kubectl get configmap -n NAMESPACE -o yaml") from None
    except yaml.MarkedYAMLError as error:  # its own text quotes the file, which holds keys
        where = f" Look at line {error.problem_mark.line + 1}, and before it." if error.problem_mark else ""
        raise NotAnExport(f"The file is not YAML as kubectl writes it.{where}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise NotAnExport("The file is not YAML as kubectl writes it.") from None


def _items(document: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a list, or the one object."""
    if not isinstance(document, dict) or "kind" not in document:
        raise NotAnExport("The file has something else than objects of Kubernetes. Export it with: kubectl get configmap -n NAMESPACE -o yaml")
    items = document.get("items") if str(document["kind"]).endswith("List") else [document]
    if not isinstance(items, list):
        raise NotAnExport("The list in the file has no items.")
    yield from (item for item in items if isinstance(item, dict))


def _is_publication(item: Mapping[str, Any]) -> bool:
    metadata = _mapping(item.get("metadata"))
    labels = _mapping(metadata.get("labels"))
    labelled = labels.get("app") == "published-model" and labels.get("type", "metadata") == "metadata"
    return item.get("kind", "ConfigMap") == "ConfigMap" and (labelled or _text(metadata.get("name")).startswith(_PREFIX))


def _read(item: Mapping[str, Any]) -> OldPublication:
    metadata = _mapping(item.get("metadata"))
    name, namespace = _text(metadata.get("name")), _text(metadata.get("namespace"))
    source = f"{namespace}/{name}"
    described = _described(_mapping(item.get("data")))
    old = described or {}
    model = _text(old.get("modelName")) or _text(_mapping(metadata.get("labels")).get("model-name")) or name.removeprefix(_PREFIX)
    tenant = _text(old.get("tenantId")) or _text(old.get("namespace")) or namespace
    if described is None:
        return OldPublication(source, model, tenant, wrong="its metadata.json is missing or not a JSON object")
    if not model or not tenant:
        return OldPublication(source, model, tenant, wrong=f"it does not say which {'tenant' if model else 'model'} it is of")
    if not (_is_name(model) and _is_name(tenant)):
        return OldPublication(source, model, tenant, wrong="its name, or that of its tenant, has a slash or nothing but dots")
    if (status := _text(old.get("status")).lower()) not in _LIVING:
        return OldPublication(source, model, tenant, wrong=f"it was not in use: its status is '{status[:40]}'")
    config, notes = _config(old, model)
    return OldPublication(source, model, tenant, config, notes)


def _described(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON of a publication: `metadata.json`, or the only value there is."""
    text = data.get("metadata.json") or (next(iter(data.values())) if len(data) == 1 else None)
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _config(old: Mapping[str, Any], model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    notes = []
    host, path = _address(_text(old.get("externalUrl")))
    wanted: dict[str, Any] = {
        "modelType": kind if (kind := _text(old.get("modelType")).lower()) in _TYPES else None,
        "publicHostname": _text(old.get("publicHostname")) or host,
        "externalPath": path if path not in {"", "/", f"/v1/models/{model}"} else None,
    }
    given = _mapping(old.get("rateLimiting"))
    limits = {limit: given[limit] for limit in _LIMITS if _is_limit(given.get(limit))}
    if "burstLimit" in limits and "requestsPerMinute" not in limits:
        del limits["burstLimit"]
        notes.append("burstLimit is left out: it needs requestsPerMinute")
    authentication = _mapping(old.get("authentication"))
    wanted["rateLimiting"] = limits
    wanted["authentication"] = {key: authentication[key] for key in ("requireApiKey", "allowedTenants") if authentication.get(key) is not None}
    if not wanted["publicHostname"]:
        notes.append("it had no hostname: it gets the gateway's own, or that of --hostname")
    return {name: value for name, value in wanted.items() if value}, tuple(notes)


def _address(url: str) -> tuple[str, str]:
    try:
        parsed = urlsplit(url)
        return parsed.hostname or "", parsed.path.rstrip("/")
    except ValueError:
        return "", ""


def _is_name(text: str) -> bool:
    """Whether it can stand in a path."""
    return "/" not in text and text.strip(".") != ""


def _is_limit(value: object) -> bool:
    """Zero was how the old service wrote down that there is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
