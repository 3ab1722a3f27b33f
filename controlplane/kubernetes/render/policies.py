"""The policies of the gateway: who is let in (extauth), who counts (extproc), and what connections to engines may take. Pure.

All are on the Gateway. On a route they would be skipped without a word: Envoy takes a filter's settings from the route
that it selects first, and `x-ias-model` is not there yet.
"""

from controlplane.gateway.request_headers import FOR_AUTHORIZATION
from controlplane.kubernetes.profile import GatewayProfile
from controlplane.kubernetes.render.manifests import Json, Manifest, gateway_ref, manifest, milliseconds, named
from controlplane.kubernetes.render.services import connections, service_ref
from controlplane.kubernetes.render.traffic import traffic


def render_policies(profile: GatewayProfile) -> list[Manifest]:
    """Return the SecurityPolicy, the EnvoyExtensionPolicy and the BackendTrafficPolicy of the gateway."""
    return [
        manifest(profile, "SecurityPolicy", named(profile, "extauth"), _security(profile)),
        manifest(profile, "EnvoyExtensionPolicy", named(profile, "extproc"), _extensions(profile)),
        manifest(profile, "BackendTrafficPolicy", named(profile, "traffic"), {"targetRefs": [gateway_ref(profile)], **traffic(profile)}),
    ]


def _security(profile: GatewayProfile) -> Json:
    check: Json = {
        "grpc": {"backendRefs": [service_ref(profile, "extauth", profile.extauth)], "backendSettings": connections()},
        "headersToExtAuth": list(FOR_AUTHORIZATION),
        "timeout": milliseconds(profile.authorization_timeout_ms),
        "failOpen": False,
        "statusOnError": 503,
        # The header x-ias-model that extauth sets selects the route anew; before it there is none to an engine.
        "recomputeRoute": True,
        "bodyToExtAuth": {"maxRequestBytes": profile.max_body_bytes},
    }
    return {"targetRefs": [gateway_ref(profile)], "extAuth": check}


def _extensions(profile: GatewayProfile) -> Json:
    inline = profile.metering == "inline"
    processor: Json = {
        "backendRefs": [service_ref(profile, "extproc", profile.extproc)],
        "backendSettings": connections(),
        "messageTimeout": milliseconds(profile.processing_timeout_ms),
        # Inline: no valid context, no answer. Shadow: extproc only watches, and nothing ever waits for it.
        "failOpen": not inline,
        # Inline: the answers to headers ask for the bodies that are needed. Had the default a body mode, they could not end a stream.
        "processingMode": {"request": {}, "allowModeOverride": True} if inline else {"request": {}, "response": {"body": "Streamed"}},
    }
    if profile.envoy_gateway != "1.8.1":
        # 1.8.1 has no such field, and the mapper of local replies makes the same status of it.
        processor["statusOnError"] = 503
    if not inline:
        processor["shadowMode"] = True
    return {"targetRefs": [gateway_ref(profile)], "extProc": [processor]}
