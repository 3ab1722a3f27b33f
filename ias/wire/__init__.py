"""Our own gRPC server for Envoy: HTTP/2 (RFC 9113) and gRPC as a state machine without I/O, and one file that gives it a socket.

    bytes ──> connection.Connection.receive ──> events ──> server side: handlers
    bytes <── connection.Connection.data_to_send <── commands: respond, send, finish, fail …

The order of reading: `events`, `connection`, `receiving` with `control` and `windows` (frames in), `sending` (frames out), `streams` and
`exchange` (states, and how streams end), `header_blocks`, `requests`, `messages` and `status` (what gRPC makes of it), `limits`. All of these are
pure. `protocol`, `handlers`, `server` and `counts` give them a socket, handlers, a clock and metrics.
"""
