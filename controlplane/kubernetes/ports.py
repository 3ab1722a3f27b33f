"""The cluster as the control plane sees it: objects that carry our labels, and what can be done with them."""

from collections.abc import AsyncGenerator, Collection
from typing import Protocol

from controlplane.gateway.ports import GatewayRejected
from controlplane.kubernetes.objects import Key, Manifest


class Conflict(GatewayRejected):
    """Fields of an object belong to another manager. They are left to it; the message names it."""


class NotServed(GatewayRejected):
    """The cluster does not know the kind, or has not the namespace."""


class Cluster(Protocol):
    """Everything may raise GatewayUnreachable: then nothing is known of what was done."""

    async def live(self, namespaces: Collection[str]) -> tuple[Manifest, ...]:
        """Return what carries our labels: in these namespaces, and what is in none."""

    async def find(self, key: Key) -> Manifest | None:
        """Return one object."""

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Server-side apply without force; return the object as it is now. Raises Conflict, NotServed, or GatewayRejected with the reason."""

    async def delete(self, live: Manifest) -> None:
        """Delete an object, but none that has taken its place. One that is gone is deleted."""

    def watch(self, namespaces: Collection[str]) -> AsyncGenerator[tuple[str, Manifest]]:
        """Yield ("ADDED" | "MODIFIED" | "DELETED", object): what is there, then changes. Raises GatewayUnreachable when some may be missed."""
