"""The gateway port on Kubernetes: a state becomes the resources of Envoy Gateway, which a controller makes Envoy's configuration of.

Level-based: each time the whole is rendered and compared with what carries our labels, and only what differs is written: of that, what somebody
waits for, or a portion, so that a cluster that has lost much keeps nobody from publishing. Policies come first
and are waited for, then what routes refer to, then routes: no route is ever there without the policies that guard it. What is no longer
wanted goes last, routes first.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from controlplane.gateway.ports import GatewayRejected, GatewayState, GatewayUnreachable
from controlplane.kubernetes.api import together
from controlplane.kubernetes.changes import Changes, changes
from controlplane.kubernetes.conditions import Standing, State, standing_of
from controlplane.kubernetes.forbidden import Forbidden, refuse_forbidden
from controlplane.kubernetes.objects import Key, Manifest, key_of, rank_of
from controlplane.kubernetes.ports import Cluster, Conflict
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.rendering import render
from ias import logs
from ias.telemetry import KUBERNETES_OBJECTS, KUBERNETES_SYNC_SECONDS, KUBERNETES_WRITES

log = logs.get(__name__)

_ONE_BY_ONE = 16
_POLL_FIRST_S, _POLL_LAST_S = 0.02, 0.5
_BACKENDS = 1
"""The rank from which on failures concern single models."""


class KubernetesGateway:
    """Writes for one gateway. `confirm_s`: how long a controller may take to judge what was written; 0: nobody is waited for.

    `at_once`: how many objects one `apply` writes at most; None: all.
    """

    def __init__(self, cluster: Cluster, profile: GatewayProfile, *, confirm_s: float = 10.0, at_once: int | None = None) -> None:
        self._cluster = cluster
        self._profile = profile
        self._confirm_s = confirm_s
        self._at_once = at_once
        self._one_at_a_time = asyncio.Lock()
        self.problems: dict[Key, Standing] = {}
        """What was not taken the last time, and why."""
        self.looked = asyncio.Event()
        """Set after each look at the cluster; whoever waits for it clears it."""
        self.namespaces = namespaces_of((), profile)
        """Where the gateway's objects are."""
        self.controller = profile.controller

    async def apply(self, state: GatewayState, models: Collection[str] | None = None) -> bool:
        async with self._one_at_a_time:
            started = time.monotonic()
            desired = await asyncio.to_thread(_render, state, self._profile)
            self.namespaces = namespaces_of(desired, self._profile)
            live = await self._cluster.live(self.namespaces)
            whole = await asyncio.to_thread(changes, desired, live)
            todo = whole.first(self._at_once)
            if models is not None:
                todo = whole.needed_by(models, await asyncio.to_thread(_alone, state, models, self._profile))
            known, left = self.problems, set(map(key_of, whole.apply)).difference(map(key_of, todo.apply))
            # What is not tried again now stands as it stood.
            self.problems = {key: standing for key, standing in known.items() if key in left}
            try:
                for rank, group in groupby(todo.apply, key=rank_of):
                    await self._write(rank, list(group))
            finally:
                self.looked.set()
            await self._delete(todo.delete)
            self._note(started, len(desired), todo)
            # What was known before concerns others than whoever changes something now; it stands in the status of its model.
            if new := [standing for key, standing in self.problems.items() if known.get(key) != standing]:
                raise GatewayRejected(_told(new))
            return todo == whole

    def _note(self, started: float, objects: int, todo: Changes) -> None:
        seconds = time.monotonic() - started
        KUBERNETES_OBJECTS.set(objects)
        KUBERNETES_SYNC_SECONDS.observe(seconds)
        if todo:
            failed = len(self.problems)
            log.info("cluster_updated", wanted=len(todo.apply), deleted=len(todo.delete), failed=failed, seconds=round(seconds, 3))

    async def _write(self, rank: int, manifests: Sequence[Manifest]) -> None:
        written = [one for one in await together(self._apply, manifests) if one is not None]
        await self._confirm(written)
        if rank < _BACKENDS and self.problems:
            raise GatewayRejected(f"no route is written while the gateway itself is not as it should be: {_told(self.problems.values())}")

    async def _apply(self, manifest: Manifest) -> Manifest | None:
        """Write one; None when it cannot be, which says nothing of the others."""
        try:
            written = await self._cluster.apply(manifest)
        except GatewayRejected as error:
            state = State.CONFLICT if isinstance(error, Conflict) else State.REFUSED
            KUBERNETES_WRITES.labels("apply", state.name.lower()).inc()
            key = key_of(manifest)
            self.problems[key] = Standing(state, f"{key}: {error}")
            return None
        KUBERNETES_WRITES.labels("apply", "done").inc()
        return written

    async def _confirm(self, written: Sequence[Manifest]) -> None:
        """Wait until a controller has judged what was written. That it says "not yet" is no failure: the canary tries whether it works."""
        deadline, pause = time.monotonic() + self._confirm_s, _POLL_FIRST_S
        waiting = {key_of(manifest): standing_of(manifest, self.controller) for manifest in written} if self._confirm_s else {}
        while waiting := {key: standing for key, standing in waiting.items() if standing.state in {State.UNSEEN, State.WAITING}}:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _POLL_LAST_S)
            waiting = await self._look_at(waiting)
            self.problems |= {key: standing for key, standing in waiting.items() if standing.state is State.REFUSED}
        if unseen := [standing for standing in waiting.values() if standing.state is State.UNSEEN]:
            raise GatewayUnreachable(_told(unseen))

    async def _look_at(self, keys: Iterable[Key]) -> dict[Key, Standing]:
        wanted = set(keys)
        if len(wanted) > _ONE_BY_ONE:
            found = await self._cluster.live({key.namespace for key in wanted if key.namespace})
        else:
            found = tuple(one for one in await together(self._cluster.find, wanted) if one is not None)
        return {key: standing_of(manifest, self.controller) for manifest in found if (key := key_of(manifest)) in wanted}

    async def _delete(self, garbage: Sequence[Manifest]) -> None:
        for _, group in groupby(garbage, key=rank_of):
            await together(self._cluster.delete, group)
        KUBERNETES_WRITES.labels("delete", "done").inc(len(garbage))


def _render(state: GatewayState, profile: GatewayProfile) -> tuple[Manifest, ...]:
    desired = render(state, profile)
    try:
        refuse_forbidden(desired)
    except Forbidden as error:
        raise GatewayRejected(str(error)) from error
    return desired


def _alone(state: GatewayState, models: Collection[str], profile: GatewayProfile) -> frozenset[Key]:
    """Return what would be there if nothing were published but these models."""
    routes = tuple(route for route in state.routes if route.model in models)
    engines = {target.backend_id for route in routes for target in route.targets}
    alone = GatewayState(tuple(backend for backend in state.backends if backend.backend_id in engines), routes)
    return frozenset(map(key_of, render(alone, profile)))


def namespaces_of(desired: Iterable[Manifest], profile: GatewayProfile) -> set[str]:
    """Return the namespaces that a gateway's objects are in: its own, and those that it refers to."""
    return {profile.namespace} | {namespace for manifest in desired if (namespace := manifest["metadata"].get("namespace"))}


def _told(standings: Iterable[Standing]) -> str:
    reasons = sorted(standing.reason for standing in standings)
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}"
