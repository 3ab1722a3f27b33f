"""What a peer can do wrong, as RFC 9113 §7 counts it. The two exceptions never leave `Connection`."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113 §7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFault(Exception):
    """Ends the connection with GOAWAY; `reason` goes into its debug data."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamFault(Exception):
    """Ends one stream with RST_STREAM."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def protocol_error(reason: str) -> ConnectionFault:
    """The commonest way to lose a connection."""
    return ConnectionFault(ErrorCode.PROTOCOL_ERROR, reason)


def name_of(code: int) -> str:
    """An error code as a word; a peer may send any number."""
    return ErrorCode(code).name.lower() if code <= ErrorCode.HTTP_1_1_REQUIRED else "unknown_error"
