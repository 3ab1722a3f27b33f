"""What a server counts for its metrics: plain numbers in the hot path, handed to Prometheus some times in a second."""

from collections import Counter

from ias import telemetry


class Counts:
    """All connections of one server together."""

    __slots__ = ("bytes_received", "bytes_sent", "calls", "errors", "messages_received", "messages_sent", "streams")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.calls = self.streams = 0
        self.messages_received = self.messages_sent = 0
        self.bytes_received = self.bytes_sent = 0
        self.errors: Counter[str] = Counter()

    def publish(self, connections: int, live_streams: int) -> None:
        """Add what was counted since the last time to the metrics."""
        telemetry.TRANSPORT_CONNECTIONS.set(connections)
        telemetry.TRANSPORT_STREAMS_OPEN.set(live_streams)
        telemetry.TRANSPORT_STREAMS.labels("unary").inc(self.calls)
        telemetry.TRANSPORT_STREAMS.labels("stream").inc(self.streams)
        telemetry.TRANSPORT_MESSAGES.labels("received").inc(self.messages_received)
        telemetry.TRANSPORT_MESSAGES.labels("sent").inc(self.messages_sent)
        telemetry.TRANSPORT_BYTES.labels("received").inc(self.bytes_received)
        telemetry.TRANSPORT_BYTES.labels("sent").inc(self.bytes_sent)
        for kind, count in self.errors.items():
            telemetry.TRANSPORT_ERRORS.labels(kind).inc(count)
        self._clear()
