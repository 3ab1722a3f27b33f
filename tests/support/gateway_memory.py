"""A gateway in memory that keeps the promises of its port, for tests of who calls it."""

from collections.abc import Collection

from controlplane.gateway.ports import GatewayRejected, GatewayState, GatewayUnreachable


class MemoryGateway:
    """Serves the last state it took. `fails_with` makes it refuse or not answer; a refused state is never served."""

    def __init__(self) -> None:
        self.served = GatewayState()
        self.fails_with: Exception | None = None
        self.applied = 0
        self.leaves = 0
        self.asked: list[Collection[str] | None] = []
        """For which models it was applied; None: all."""
        self._busy = False

    async def apply(self, state: GatewayState, models: Collection[str] | None = None) -> bool:
        """Whole, unless `leaves` says how often something is left."""
        assert not self._busy, "the port wants states one at a time"
        self._busy = True
        try:
            if self.fails_with is not None:
                raise self.fails_with
            known = {backend.backend_id for backend in state.backends}
            if missing := [route.model for route in state.routes if any(target.backend_id not in known for target in route.targets)]:
                raise GatewayRejected(f"routes without a backend: {missing}")
            if len({route.model for route in state.routes}) != len(state.routes):
                raise GatewayRejected("two routes for one model")
            self.served = state
            self.applied += 1
            self.asked.append(models)
            self.leaves -= 1
            return self.leaves < 0
        finally:
            self._busy = False

    @property
    def models(self) -> list[str]:
        return [route.model for route in self.served.routes]


REJECTED = GatewayRejected("no such cluster")
UNREACHABLE = GatewayUnreachable("admin does not answer")
