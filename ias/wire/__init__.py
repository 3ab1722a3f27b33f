"""Our own gRPC server for Envoy: HTTP/2 (RFC 9113) and gRPC as a state machine without I/O, and one file that gives it a socket.

    bytes ──> connection.Connection.receive ──> events ──> server side: handlers
    bytes <── connection.Connection.data_to_send <── commands: respond, send, finish, fail …

The order of reading: `events`, `connection` (frames in), `sending` (frames out), `streams` (the state table), `header_blocks`,
`requests` and `messages` (what gRPC makes of it), `protocol` and `server` (asyncio). Everything but the last two is pure.
"""
