"""What the leader does: it watches the cluster, has it repaired when somebody else changed it, and writes down how it stands with each model.

Repairs are `publishing/reconciler.py`'s, under its lock. Here is only why it wakes before its time, and what the cluster says of the result.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Protocol

from controlplane.gateway.ports import GatewayRejected, GatewayUnreachable
from controlplane.kubernetes.conditions import Standing, standing_of, standings
from controlplane.kubernetes.events import Event, events_between
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway
from controlplane.kubernetes.objects import Key, Manifest, key_of
from controlplane.kubernetes.ports import Cluster
from ias import logs

log = logs.get(__name__)

_SETTLE_S = 0.3
"""Events come in crowds: one look for all of a crowd."""
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 30.0


class Tells(Protocol):
    """Where events go."""

    async def tell(self, event: Event) -> None:
        """Write one."""


Keep = Callable[[Mapping[str, Standing]], Awaitable[None]]
"""Keeps how it stands with all models, in place of what was kept before."""


class ClusterWatcher:
    """For one gateway. `wake` has the desired state applied soon; `resync_s`: how often the cluster is looked at without a reason."""

    def __init__(
        self, cluster: Cluster, gateway: KubernetesGateway, events: Tells, keep: Keep, wake: Callable[[], None], *, resync_s: float = 30.0
    ) -> None:
        self._cluster = cluster
        self._gateway = gateway
        self._events = events
        self._keep = keep
        self._wake = wake
        self._resync_s = resync_s
        self._standings: dict[Key, Standing] = {}

    async def run(self) -> None:
        """Watch and look until cancelled."""
        self._standings = {}
        self._wake()
        async with asyncio.TaskGroup() as group:
            group.create_task(_again(self._watch))
            group.create_task(_again(self._look))

    async def _watch(self) -> None:
        """Wake whoever repairs when an object went away or its wishes changed; controllers' words change no generation."""
        # What happened while nobody watched is no event: what is there is told as new, and that wakes.
        generations: dict[Key, int | None] = {}
        async with aclosing(self._cluster.watch(self._gateway.namespaces)) as events:
            async for kind, manifest in events:
                key, generation = key_of(manifest), manifest["metadata"].get("generation")
                if kind == "DELETED" or generations.get(key) != generation:
                    self._wake()
                generations[key] = None if kind == "DELETED" else generation
                self._gateway.looked.set()

    async def _look(self) -> None:
        """Write down what the cluster says, after each change of it."""
        while True:
            await self._note(await self._cluster.live(self._gateway.namespaces))
            try:
                async with asyncio.timeout(self._resync_s):
                    await self._gateway.looked.wait()
                await asyncio.sleep(_SETTLE_S)
            except TimeoutError:
                pass
            self._gateway.looked.clear()

    async def _note(self, live: Collection[Manifest]) -> None:
        problems, controller = self._gateway.problems, self._gateway.controller
        now = {key: problems.get(key) or standing_of(manifest, controller) for manifest in live if (key := key_of(manifest))}
        now |= problems
        for event in events_between(self._standings, now):
            log.info("standing changed", about=str(event.about), is_warning=event.is_warning, reason=event.note)
            await self._events.tell(event)
        self._standings = now
        await self._keep(standings(live, problems, controller))


async def _again(work: Callable[[], Awaitable[None]]) -> None:
    """Do it for ever: what fails is begun anew, later each time it fails soon, and not all at once after an outage."""
    pause = _FIRST_RETRY_S
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await work()
        except (GatewayRejected, GatewayUnreachable) as error:
            log.warning("the cluster cannot be watched", reason=str(error), retry_in_seconds=round(pause, 1))
        except Exception:
            log.exception("watching the cluster failed", retry_in_seconds=round(pause, 1))
        if asyncio.get_running_loop().time() > started + _LAST_RETRY_S:
            pause = _FIRST_RETRY_S
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
        pause = min(pause * 2, _LAST_RETRY_S)
