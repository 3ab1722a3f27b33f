"""The line that Envoy writes for each request, on one machine and on Kubernetes: never a query, a credential or a word of the content."""

from ias import headers

ACCESS_LOG_LINE = {
    "time": "%START_TIME%",
    "request_id": f"%REQ({headers.REQUEST_ID})%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH):256%",
    "route": "%ROUTE_NAME%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "duration_ms": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "upstream": "%UPSTREAM_CLUSTER%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}
"""JSON member -> command operator: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage.

The route tells the model: its header is not there any more when the line is written, since routes take it away before an engine sees it.
"""
