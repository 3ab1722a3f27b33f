#!/usr/bin/env bash
# `make test`: all tiers that this machine can run. Arguments are passed to pytest and then run alone, without coverage.
set -euo pipefail
cd "$(dirname "$0")/.."
pytest=.venv/bin/pytest
workers=${WORKERS:-2}

# Envoy Gateway has fixed ports: its tests run in namespaces of their own, where those may be made.
isolated=()
if tools/isolated.sh true; then
  isolated=(tools/isolated.sh)
fi
if [ $# -gt 0 ]; then
  [[ " $* " == *tests/kubernetes* ]] || isolated=()
  exec "${isolated[@]}" "$pytest" "$@"
fi

# The pure cores: what has no I/O. Their coverage is gated; the rest is covered by tests on real dependencies.
cores=$(grep -v '^#' tools/pure_cores.txt | paste -sd, -)

started=$SECONDS
echo "== unit, property, repo: pure code, no sockets"
COVERAGE_FILE=.coverage "$pytest" -q -n "$workers" --dist worksteal --cov --cov-report= tests/unit tests/property tests/repo
echo "== coverage of the pure cores (gate: 80 %)"
.venv/bin/coverage report --include="$cores" --fail-under=80 --skip-covered
echo "== conformance, component, dataplane: real PostgreSQL, Valkey, Envoy"
"$pytest" -q -n "$workers" --dist loadfile tests/conformance tests/component tests/dataplane
echo "== e2e: the whole service on this machine, official clients; kubernetes: a real API server and Envoy Gateway"
.venv/bin/python -m tools.kubernetes_binaries
# Side by side: each of them waits half of its time.
said=$(mktemp)
"${isolated[@]}" "$pytest" -q tests/kubernetes >"$said" 2>&1 &
kubernetes=$!
trap 'kill "$kubernetes" 2>/dev/null || true; rm -f "$said"' EXIT
failed=0
"$pytest" -q tests/e2e || failed=1
wait "$kubernetes" || failed=1
cat "$said"
[ "$failed" = 0 ]
echo "all tiers passed in $((SECONDS - started)) s"
