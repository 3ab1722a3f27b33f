"""Which headers of a request go where, on one machine and on Kubernetes."""

from ias import headers

FOR_AUTHORIZATION = (
    *(*headers.CREDENTIALS, "content-type", "content-length", "content-encoding", headers.REQUEST_ID, headers.TAGS),
    "x-envoy-external-address",
)
"""What extauth decides by."""
NOT_FOR_ENGINES = (
    *(*headers.CREDENTIALS, headers.CONTEXT, headers.MODEL, headers.TAGS),
    *("x-envoy-auth-partial-body", "x-envoy-external-address", "x-envoy-internal"),
    "accept-encoding",
)
"""Credentials, our own, and what Envoy itself writes are no engine's business. A compressed answer cannot be counted without inflating it:
engines are asked for identity."""
