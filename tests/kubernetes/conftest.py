import pytest

from tests.support.envoy_gateway import envoy_gateway
from tests.support.kubernetes import aigw_crds, crds, kserve_crds, kubernetes, kubernetes_server, namespace

__all__ = ["aigw_crds", "envoy_gateway", "kserve_crds", "kubernetes", "kubernetes_server", "namespace"]

_TIMEOUT_S = 300
_PROJECTS = {"aigw_crds": "aigw", "kserve_crds": "kserve"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the first test of a worker time for a whole cluster; leave out what needs CRDs that no registry has and that are not here.

    Those are test data from outside of the repository (`tools/kubernetes_crds.py`, which says so): without them nothing is skipped, not even in CI.
    """
    ours = [item for item in items if "tests/kubernetes/" in item.nodeid]
    for item in ours:
        item.add_marker(pytest.mark.timeout(_TIMEOUT_S))
    absent = {fixture for fixture, project in _PROJECTS.items() if not crds(project)}
    if left_out := [item for item in ours if absent & set(getattr(item, "fixturenames", ()))]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
