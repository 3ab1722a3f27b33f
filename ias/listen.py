"""Unix sockets of servers: who may take over a path that exists already."""

import errno
import os
import socket
import stat
from pathlib import Path


def free_unix_path(address: str) -> None:
    """Remove the socket file that a killed predecessor left at `unix:<path>`.

    Raises:
        OSError: somebody listens there (EADDRINUSE), or the path is something else than a socket; nothing was removed.
    """
    path = Path(address.removeprefix("unix:"))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "exists and is not a socket", str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        # EAGAIN means a full backlog: somebody listens, and is busy.
        if probe.connect_ex(os.fspath(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), str(path))
    path.unlink(missing_ok=True)
