"""What would change in a cluster, for people: a diff of YAML for each object. Pure."""

import difflib
from collections.abc import Iterable, Iterator

import yaml

from controlplane.kubernetes.changes import DIGEST, Changes, projected
from controlplane.kubernetes.objects import Manifest, key_of


def difference(todo: Changes, live: Iterable[Manifest]) -> Iterator[str]:
    """Yield the lines: of what is written, what we say beside what is there of it; of what goes, its name."""
    found = {key_of(manifest): manifest for manifest in live}
    for manifest in todo.apply:
        key = key_of(manifest)
        before = _lines(projected(manifest, found[key])) if key in found else []
        after = _lines(manifest)
        if before == after:
            yield f"  {key}: fields that are no longer wanted go"
        yield from difflib.unified_diff(before, after, f"live/{key}" if before else "/dev/null", f"wanted/{key}", lineterm="")
    for manifest in todo.delete:
        yield f"- {key_of(manifest)}: deleted"


def _lines(manifest: Manifest) -> list[str]:
    """As YAML, without the digest, which says nothing to people."""
    metadata = dict(manifest["metadata"])
    annotations = {name: value for name, value in (metadata.pop("annotations", None) or {}).items() if name != DIGEST}
    shown = {**manifest, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
    return yaml.safe_dump(shown, width=160).splitlines()
