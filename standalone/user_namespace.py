"""Run a program in a user namespace of its own, where root is an ordinary user (user_namespaces(7)): files stay ours, root's powers are gone.

`python -I -S user_namespace.py PARENT PROGRAM [ARGUMENT…]`; PARENT is the process that the program must not outlive. A process of
its own, because only one without other threads may enter a namespace, and libraries (gRPC) start threads in forked children.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main(parent: int, argv: list[str]) -> None:
    """Enter, then become the program. Where namespaces are forbidden, say so and exit with 1."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER) != 0:
        reason = os.strerror(ctypes.get_errno())
        sys.exit(f"{Path(argv[0]).name} refuses to run as root, and user namespaces cannot be used here ({reason}). Start as an ordinary user.")
    for name, content in (("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"), ("gid_map", f"1000 {gid} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, content.encode())
        os.close(descriptor)
    # After the namespace: a change of credentials clears the death signal.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execv(argv[0], argv)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
