"""A limit on everything that a peer chooses."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection, or one server, may cost. Rates are counted over whole seconds."""

    # Read by pydantic when a setting is of this type: unknown names are refused, docs/settings.md shows the texts.
    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}  # noqa: RUF012

    max_connections: int = 1_024
    """Connections at once; one more is closed at once."""
    max_streams: int = 10_000
    """Streams at once on one connection; Envoy holds one for each live request. One more is refused, which the peer may retry."""
    max_header_bytes: int = 16 * KIB
    """Header list of one request as RFC 9113 §6.5.2 counts it (32 bytes for each field beside its text). A larger one is RESOURCE_EXHAUSTED."""
    max_message_bytes: int = 16 * MIB
    """One gRPC message in; above the largest body that Envoy buffers. A larger one is RESOURCE_EXHAUSTED."""
    max_held_bytes: int = 256 * MIB
    """Messages of one connection that are incomplete, unanswered or unsent. The stream that goes above it is RESOURCE_EXHAUSTED."""
    max_unsent_bytes: int = 64 * MIB
    """Messages of one stream that wait for its peer to read. A stream above it is RESOURCE_EXHAUSTED."""
    stream_window_bytes: int = 1 * MIB
    """What a peer may send on one stream ahead of us. While as much waits to be sent to it, it gets no more room."""
    connection_window_bytes: int = 16 * MIB
    """What a peer may send on all streams ahead of us."""
    max_frame_bytes: int = 16 * KIB
    """Largest frame in (16 KiB to 16 MiB - 1, RFC 9113 §4.2)."""
    max_resets_per_s: int = 20_000
    """Streams that a peer resets, or makes us reset, in one second (CVE-2023-44487, CVE-2025-8671); twice what all streams of a full
    connection make when their clients leave at once, since whoever could exceed it would end everybody's calls."""
    max_pings_per_s: int = 1_000
    """PING frames; each costs an answer."""
    max_settings_per_s: int = 100
    """SETTINGS frames; each costs an answer."""
    max_empty_frames_per_s: int = 1_000
    """Frames that bring nothing: DATA without data or end, PRIORITY, unknown types."""
    max_continuations: int = 16
    """CONTINUATION frames of one header block (CVE-2024-27316)."""
    handshake_s: float = 10.0
    """For TLS and the client's preface with its SETTINGS."""
    idle_s: float = 3_600.0
    """A connection without streams for so long is drained and closed."""
    ping_after_s: float = 30.0
    """A connection that is silent for so long is asked whether anybody is there."""
    ping_timeout_s: float = 20.0
    """For any byte after that question; then the connection is lost. It also bounds how long a peer may refuse to read."""

    def __post_init__(self) -> None:
        """Refuse what RFC 9113 does not allow to announce."""
        if not 16_384 <= self.max_frame_bytes < 1 << 24:
            raise ValueError("max_frame_bytes must be 16384 to 16777215")
        if not 65_535 <= self.connection_window_bytes < 1 << 31:
            raise ValueError("connection_window_bytes must be 65535 to 2147483647")
        if not 0 < self.stream_window_bytes < 1 << 31:
            raise ValueError("stream_window_bytes must be 1 to 2147483647")
        small = [name for name in self.__slots__ if getattr(self, name) <= 0]
        if small:
            raise ValueError(f"{small[0]} must be above 0")
