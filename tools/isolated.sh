#!/usr/bin/env bash
# isolated.sh COMMAND…: run it in user, mount, process and network namespaces of its own. There only loopback exists, every fixed port of
# Envoy Gateway is free, and `/certs`, which is a constant of Envoy Gateway, is an empty folder. Needs no root; nothing outlives the command.
set -euo pipefail
for program in unshare pivot_root; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || { echo "isolated.sh needs \`$program\` (util-linux)" >&2; exit 1; }
done
exec unshare --user --map-root-user --mount --net --pid --fork --kill-child bash -euo pipefail -c '
  PATH="$PATH:/usr/sbin:/sbin"
  root=$(mktemp -d) && mount -t tmpfs tmpfs "$root"
  for path in /*; do
    name=${path#/}
    if [ -L "$path" ]; then ln -s "$(readlink "$path")" "$root/$name"
    elif [ "$name" = proc ]; then mkdir "$root/proc" && mount -t proc proc "$root/proc"
    elif [ -d "$path" ] && [ "$name" != certs ]; then mkdir "$root/$name" && { mount --rbind "$path" "$root/$name" 2>/dev/null || true; }; fi
  done
  mount -t tmpfs tmpfs "$root/dev/shm"
  mkdir "$root/certs" "$root/.before"
  # A new root, not chroot: inside of that nobody may make another user namespace, as PostgreSQL needs it where we are root.
  where=$PWD
  cd "$root" && pivot_root . .before && umount -l /.before && rmdir /.before
  umount -l "$root" && rmdir "$root"
  cd "$where"
  # `ip link set lo up`, where iproute2 may not be installed: SIOCSIFFLAGS with IFF_UP.
  .venv/bin/python -c "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack(\"16sH22x\", b\"lo\", 1))"
  export IAS_E2E_ISOLATED=1
  exec "$@"
' isolated "$@"
