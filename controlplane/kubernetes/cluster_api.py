"""The port `Cluster` on a real API server."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from controlplane.gateway.ports import GatewayUnreachable
from controlplane.kubernetes.api import CALL_S, KubernetesApi, together
from controlplane.kubernetes.labels import selector_of
from controlplane.kubernetes.objects import ABROAD, CLUSTER_SCOPED, KINDS, Json, Key, Manifest, key_of, path_of
from controlplane.kubernetes.ports import Conflict, NotServed

_PAGE = 500
_WATCH_S = 300
"""Then a watch ends and another begins: none is trusted for ever."""
_BACKLOG = 10_000


class KubernetesCluster:
    """The objects of one gateway: all kinds in its own namespace, ReferenceGrants in others too, what is in no namespace."""

    def __init__(self, api: KubernetesApi, gateway: str, namespace: str) -> None:
        self._api = api
        self._home = namespace
        self._selector = ("labelSelector", selector_of(gateway))

    async def live(self, namespaces: Collection[str]) -> tuple[Manifest, ...]:
        listed = await together(lambda place: self._list(*place), self._places(namespaces))
        return tuple(manifest for items, _ in listed for manifest in items)

    async def find(self, key: Key) -> Manifest | None:
        try:
            return await self._api.call("GET", path_of(*key))
        except NotServed:
            return None

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        return await self._api.apply(path_of(*key_of(manifest)), manifest, dry_run=dry_run)

    async def delete(self, live: Manifest) -> None:
        options = {"preconditions": {"uid": live["metadata"]["uid"]}, "propagationPolicy": "Background"}
        try:
            await self._api.call("DELETE", path_of(*key_of(live)), options)
        except (NotServed, Conflict):  # gone, or another one by now: the next look will tell
            return

    async def watch(self, namespaces: Collection[str]) -> AsyncGenerator[tuple[str, Manifest]]:
        events: asyncio.Queue[tuple[str, Manifest] | Exception] = asyncio.Queue(_BACKLOG)
        watches = [asyncio.create_task(self._follow(*place, events)) for place in self._places(namespaces)]
        try:
            while True:
                event = await events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            for task in watches:
                task.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    def _places(self, namespaces: Collection[str]) -> list[tuple[str, str, str]]:
        """Every kind with every namespace that one of ours may be in."""
        return [
            (version, kind, namespace)
            for version, kind in KINDS
            for namespace in ([""] if kind in CLUSTER_SCOPED else sorted(namespaces))
            if namespace in {"", self._home} or kind in ABROAD
        ]

    async def _list(self, api_version: str, kind: str, namespace: str) -> tuple[list[Manifest], str]:
        """Return all objects of a kind, page by page, and the version that a watch goes on from; a kind that is not installed has none."""
        found: list[Manifest] = []
        token, version = "", ""
        while True:
            query = [self._selector, ("limit", str(_PAGE)), *([("continue", token)] if token else [])]
            try:
                page = await self._api.call("GET", path_of(api_version, kind, namespace), query=query)
            except NotServed:
                return found, version
            # Items of a list do not say what they are.
            found += ({**item, "apiVersion": api_version, "kind": kind} for item in page["items"])
            version, token = page["metadata"]["resourceVersion"], page["metadata"].get("continue", "")
            if not token:
                return found, version

    async def _follow(self, api_version: str, kind: str, namespace: str, events: "asyncio.Queue[tuple[str, Manifest] | Exception]") -> None:
        try:
            there, version = await self._list(api_version, kind, namespace)
            for manifest in there:
                await events.put(("ADDED", manifest))
            if not version:
                return
            while True:
                query = [self._selector, ("resourceVersion", version), ("allowWatchBookmarks", "true"), ("timeoutSeconds", str(_WATCH_S))]
                async with aclosing(self._api.lines(path_of(api_version, kind, namespace), query, CALL_S)) as lines:
                    async for line in lines:
                        version = _version(line)
                        if line["type"] != "BOOKMARK":
                            await events.put((line["type"], line["object"]))
        except Exception as error:
            await events.put(error)


def _version(line: Json) -> str:
    if line["type"] == "ERROR":  # 410: what happened since then is forgotten
        raise GatewayUnreachable(f"a watch ended: {line['object'].get('message')}")
    version: str = line["object"]["metadata"]["resourceVersion"]
    return version
