"""Names of all metrics, in one place. Prometheus style, prefix `ias_`; never org, user or key as a label (cardinality)."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

REGISTRY = CollectorRegistry(auto_describe=True)
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

CHECKS = Counter("ias_checks_total", "Decisions of extauth by HTTP status of the answer (200: allowed).", ["status"], registry=REGISTRY)
CHECK_SECONDS = Histogram("ias_check_seconds", "Time of a decision of extauth.", registry=REGISTRY, buckets=_SECONDS)
ADMISSIONS = Counter("ias_admissions_total", "Requests that extauth passed on to an engine.", ["endpoint"], registry=REGISTRY)
STORE_FALLBACKS = Counter("ias_store_fallbacks_total", "Admissions decided by the local share because the store did not answer.", registry=REGISTRY)
LIVE_CREDENTIALS = Gauge("ias_live_credentials", "Credential ids that extauth holds as live.", registry=REGISTRY)
CHANGES_SEQ = Gauge("ias_changes_seq", "Sequence number of the last change that was applied.", registry=REGISTRY)
CHANGES_FAILURES = Counter("ias_changes_failures_total", "Polls of the change log that failed.", registry=REGISTRY)
STREAMS_OPEN = Gauge("ias_streams_open", "Requests that extproc follows now.", registry=REGISTRY)
EVENTS = Counter("ias_events_total", "Usage events written to the spool, by outcome.", ["outcome"], registry=REGISTRY)
CONTEXT_REFUSED = Counter("ias_context_refused_total", "Requests that reached extproc without a valid context.", registry=REGISTRY)
TOKENS = Counter("ias_tokens_total", "Tokens by direction and source of the count.", ["direction", "source"], registry=REGISTRY)
REAPED = Counter("ias_reaped_total", "Admitted requests that never reached extproc and were closed as lost.", registry=REGISTRY)
LEDGER_EVENTS = Counter(
    "ias_ledger_events_total", "Events that the consumer wrote, by result (inserted, replaced, duplicate).", ["result"], registry=REGISTRY
)
LEDGER_LAG_SECONDS = Gauge("ias_ledger_lag_seconds", "Age of the newest event when it was written to the ledger.", registry=REGISTRY)
SPOOLS_STOPPED = Gauge("ias_spools_stopped", "Spools that the consumer does not read on because they are corrupt or unreadable.", registry=REGISTRY)
GATEWAY_SYNC = Counter("ias_gateway_syncs_total", "Attempts to bring the gateway to the desired state, by result.", ["result"], registry=REGISTRY)
TRANSPORT_CONNECTIONS = Gauge("ias_transport_connections", "Open connections of the gRPC server.", registry=REGISTRY)
TRANSPORT_STREAMS_OPEN = Gauge("ias_transport_streams_open", "Calls and streams of the gRPC server that have not ended.", registry=REGISTRY)
TRANSPORT_STREAMS = Counter(
    "ias_transport_streams_total", "Calls and streams that were opened, by shape (unary, stream).", ["shape"], registry=REGISTRY
)
TRANSPORT_MESSAGES = Counter("ias_transport_messages_total", "gRPC messages, by direction (received, sent).", ["direction"], registry=REGISTRY)
TRANSPORT_BYTES = Counter("ias_transport_bytes_total", "Bytes on connections of the gRPC server, by direction.", ["direction"], registry=REGISTRY)
TRANSPORT_ERRORS = Counter(
    "ias_transport_errors_total", "Streams and connections that ended for what their peer did, by kind of the error.", ["kind"], registry=REGISTRY
)


def expose(address: str) -> int | None:
    """Serve `/metrics` on `host:port` from a daemon thread and return the port; an empty address serves nothing."""
    if not address:
        return None
    host, _, port = address.rpartition(":")
    server, _ = start_http_server(int(port), addr=host, registry=REGISTRY)
    return int(server.server_address[1])
