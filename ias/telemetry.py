"""Names of all metrics, in one place. Prometheus style, prefix `ias_`; never org, user or key as a label (cardinality).

What OpenTelemetry's conventions for generative AI name has their names, labels and buckets, in Prometheus spelling
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/).
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

REGISTRY = CollectorRegistry(auto_describe=True)
_TOKENS = tuple(4**power for power in range(14))
_TO_FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_REQUEST = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_GEN_AI = ["gen_ai_operation_name", "gen_ai_request_model"]
_STORE_WAIT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.018, 0.019, 0.02, 0.0225, 0.025, 0.03, 0.05, 0.1, 0.25, 1)
_LATE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

CHECKS = Counter("ias_checks_total", "Decisions of extauth by HTTP status of the answer (200: allowed).", ["status"], registry=REGISTRY)
CHECK_SECONDS = Histogram("ias_check_seconds", "Time of a decision of extauth.", registry=REGISTRY, buckets=_SECONDS)
RATE_LIMIT_REQUESTS = Counter(
    "ias_rate_limit_requests_total", "Requests to the Rate Limit Service by answer (ok, over_limit, invalid).", ["answer"], registry=REGISTRY
)
RATE_LIMIT_SECONDS = Histogram("ias_rate_limit_seconds", "Time of a decision of the Rate Limit Service.", registry=REGISTRY, buckets=_SECONDS)
STORE_WAIT_SECONDS = Histogram(
    "ias_store_wait_seconds",
    "Time that requests which are decided together waited for Valkey: until its answer or until it was given up.",
    registry=REGISTRY,
    buckets=_STORE_WAIT,
)
STORE_DEADLINE_LATE_SECONDS = Histogram(
    "ias_store_deadline_late_seconds",
    "How late our own event loop was when it noticed that Valkey's time was over: that part of a wait was not for Valkey.",
    registry=REGISTRY,
    buckets=_LATE,
)
ADMISSIONS = Counter("ias_admissions_total", "Requests that extauth passed on to an engine.", ["endpoint"], registry=REGISTRY)
STORE_FALLBACKS = Counter("ias_store_fallbacks_total", "Requests decided without the store, because it did not answer.", registry=REGISTRY)
LIMIT_REFUSALS = Counter(
    "ias_limit_refusals_total",
    "Limits that refused a request, by setting and whose (key, user, org, pub; gateway: of the Rate Limit Service).",
    ["limit", "scope"],
    registry=REGISTRY,
)
WOULD_REFUSE = Counter(
    "ias_limit_would_refuse_total",
    "Limits in dry run that would have refused, by setting and whose.",
    ["limit", "scope"],
    registry=REGISTRY,
)
CREDENTIAL_READS = Counter(
    "ias_credential_reads_total", "Records of credentials that extauth read from PostgreSQL because memory did not hold them.", registry=REGISTRY
)
LIVE_CREDENTIALS = Gauge("ias_live_credentials", "Credential ids that extauth holds as live.", registry=REGISTRY)
CHANGES_SEQ = Gauge("ias_changes_seq", "Sequence number of the last change that was applied.", registry=REGISTRY)
CHANGES_FAILURES = Counter("ias_changes_failures_total", "Polls of the change log that failed.", registry=REGISTRY)
STREAMS_OPEN = Gauge("ias_streams_open", "Requests that extproc follows now.", registry=REGISTRY)
EVENTS = Counter("ias_events_total", "Usage events written to the spool, by outcome.", ["outcome"], registry=REGISTRY)
CONTEXT_REFUSED = Counter("ias_context_refused_total", "Requests that reached extproc without a valid context.", registry=REGISTRY)
TOKENS = Counter("ias_tokens_total", "Tokens by direction and source of the count.", ["direction", "source"], registry=REGISTRY)
REAPED = Counter("ias_reaped_total", "Admitted requests that nobody ended and that were closed as lost.", registry=REGISTRY)
ENGINE_REFUSALS = Counter(
    "ias_engine_refusals_total",
    "Answers 401 and 403 of engines, by model: they refuse the credential that the gateway shows them.",
    ["model", "status"],
    registry=REGISTRY,
)
TOP_UPS = Counter(
    "ias_top_ups_total", "Attempts to hold more for a running stream, by result (away: the store did not answer).", ["result"], registry=REGISTRY
)
STREAMS_ENDED = Counter("ias_streams_ended_total", "Streams that were ended because no more was granted to them.", registry=REGISTRY)
OWED = Gauge("ias_owed_charges", "Requests that ended and that the admission store was not charged for yet.", registry=REGISTRY)
GEN_AI_TOKENS = Histogram(
    "gen_ai_client_token_usage", "Tokens of a request, by type (input, output).", [*_GEN_AI, "gen_ai_token_type"], registry=REGISTRY, buckets=_TOKENS
)
GEN_AI_DURATION = Histogram(
    "gen_ai_server_request_duration_seconds", "Time from admission to the end.", [*_GEN_AI, "error_type"], registry=REGISTRY, buckets=_REQUEST
)
GEN_AI_TO_FIRST_TOKEN = Histogram(
    "gen_ai_server_time_to_first_token_seconds", "Time from admission to the first output.", _GEN_AI, registry=REGISTRY, buckets=_TO_FIRST_TOKEN
)
GEN_AI_PER_TOKEN = Histogram(
    "gen_ai_server_time_per_output_token_seconds", "Time for each output token after the first.", _GEN_AI, registry=REGISTRY, buckets=_PER_TOKEN
)
LEDGER_EVENTS = Counter(
    "ias_ledger_events_total", "Events that the consumer wrote, by result (inserted, replaced, duplicate).", ["result"], registry=REGISTRY
)
LEDGER_LAG_SECONDS = Gauge("ias_ledger_lag_seconds", "Age of the newest event when it was written to the ledger.", registry=REGISTRY)
DEAD_LETTERS = Counter("ias_dead_letters_total", "Events that the ledger can never keep and that were put aside.", registry=REGISTRY)
SPOOLS_STOPPED = Gauge("ias_spools_stopped", "Spools that the consumer does not read on because they are corrupt or unreadable.", registry=REGISTRY)
SPOOL_LAG_BYTES = Gauge(
    "ias_spool_lag_bytes", "Bytes of the spools that their reader (worker, or sink to Kafka) has not passed on.", registry=REGISTRY
)
SPOOL_LAG_SECONDS = Gauge("ias_spool_lag_seconds", "Age of the oldest event that the sink has not passed on to Kafka.", registry=REGISTRY)
SPOOL_BYTES = Gauge("ias_spool_bytes", "Size of the spool on disk.", registry=REGISTRY)
SPOOL_SHIPPED = Counter("ias_spool_shipped_total", "Events that Kafka has acknowledged.", registry=REGISTRY)
KAFKA_LAG = Gauge("ias_kafka_lag_events", "Events in our partitions of Kafka that are not in the ledger yet.", registry=REGISTRY)
KAFKA_EVENTS_MISSED = Counter("ias_kafka_events_missed_total", "Events that Kafka deleted before they were read.", registry=REGISTRY)
AUDIT_SEALED = Counter("ias_audit_rows_sealed_total", "Rows of the audit log that were sealed.", registry=REGISTRY)
SECURITY_REFUSALS = Counter(
    "ias_security_refusals_total", "Requests that extauth refused, by status and code.", ["status", "code"], registry=REGISTRY
)
SECURITY_EVENTS_DROPPED = Counter("ias_security_events_dropped_total", "Security events dropped because nobody took them.", registry=REGISTRY)
RECONCILE_DIFFERENCE = Gauge(
    "ias_reconcile_difference_tokens",
    "Tokens that an engine counted and the ledger has not, since the starting point, by direction (input, output).",
    ["backend", "model", "direction"],
    registry=REGISTRY,
)
RECONCILE_ALARM = Gauge(
    "ias_reconcile_alarm", "1: the ledger differs from an engine by more than the tolerance.", ["backend", "model"], registry=REGISTRY
)
RECONCILE_FAILURES = Counter("ias_reconcile_failures_total", "Looks at an engine's counters that failed.", registry=REGISTRY)
GATEWAY_SYNC = Counter("ias_gateway_syncs_total", "Attempts to bring the gateway to the desired state, by result.", ["result"], registry=REGISTRY)
KUBERNETES_WRITES = Counter(
    "ias_kubernetes_writes_total",
    "Writes to the Kubernetes API, by what (apply, delete) and result (done, conflict, refused).",
    ["write", "result"],
    registry=REGISTRY,
)
KUBERNETES_SYNC_SECONDS = Histogram(
    "ias_kubernetes_sync_seconds",
    "Time to bring the cluster to the desired state, controllers' answers included.",
    registry=REGISTRY,
    buckets=_REQUEST,
)
KUBERNETES_OBJECTS = Gauge("ias_kubernetes_objects", "Objects that the gateway is made of.", registry=REGISTRY)
KUBERNETES_LEADER = Gauge("ias_kubernetes_leader", "1: this process watches the cluster and repairs it.", registry=REGISTRY)
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
