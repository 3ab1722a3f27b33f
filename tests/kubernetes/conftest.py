from tests.support.envoy_gateway import envoy_gateway
from tests.support.kubernetes import kserve_crds, kubernetes, kubernetes_server, namespace

__all__ = ["envoy_gateway", "kserve_crds", "kubernetes", "kubernetes_server", "namespace"]
