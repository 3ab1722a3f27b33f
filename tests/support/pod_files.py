"""What a pod of the chart finds in its container: its environment, and the files that its volumes bring."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

SECRET = "ab" * 32
"""What must not be printed."""

CONTENTS = {
    "database_url": f"postgresql://role:{SECRET}@postgres/ias",
    "valkey_url": f"redis://:{SECRET}@valkey:6379",
    "peppers": json.dumps({"1": SECRET}),
    "token_secret": SECRET,
    "kafka_password": SECRET,
    "smtp_password": SECRET,
    "control_plane_password": SECRET,
    "data_plane_password": SECRET,
}
"""What secrets hold here, by the name of the file that their setting is read from. `signing_keys` depends on the key that signs."""


def plain_environment(container: Mapping[str, Any]) -> dict[str, str]:
    """The variables that have a value; those that the cluster fills in are left out."""
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def write_files(pod: Mapping[str, Any], objects: Iterable[Mapping[str, Any]], root: Path) -> None:
    """Put every file of a Secret, and of a ConfigMap among the objects, where the pod would see it, below `root`."""
    config_maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    [container] = pod["containers"]
    environment = plain_environment(container)
    contents = {**CONTENTS, "signing_keys": json.dumps({environment.get("IAS_SIGNING_KEY_CURRENT", ""): SECRET})}
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    for volume in pod["volumes"]:
        folder = root / mounts[volume["name"]].lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        for path in _paths(volume):
            (folder / path).write_text(contents.get(path, "PEM"))
        for path, text in config_maps[volume["configMap"]["name"]].items() if "configMap" in volume else ():
            (folder / path).write_text(text)


def below(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The same environment with the folder of mounted files moved to `root`."""
    return {name: value.replace("/etc/ias/", f"{root}/etc/ias/") for name, value in environment.items()}


def _paths(volume: Mapping[str, Any]) -> Iterator[str]:
    for source in (volume, *volume.get("projected", {}).get("sources", ())):
        yield from (item["path"] for item in source.get("secret", {}).get("items", ()))
