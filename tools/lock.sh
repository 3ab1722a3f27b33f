#!/usr/bin/env bash
# Resolve pyproject.toml into hashed lock files without addresses: they install from whatever index a machine is set up for.
set -euo pipefail
cd "$(dirname "$0")/.."
compile=(.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header)
mkdir -p requirements
echo 'uv==0.13.8' | "${compile[@]}" - -o requirements/uv.txt
"${compile[@]}" pyproject.toml --extra standalone --group demo --group build -o requirements/demo.txt
"${compile[@]}" pyproject.toml --extra standalone --group demo --group build --group test --group lint -c requirements/demo.txt -o requirements/dev.txt
"${compile[@]}" --group fuzz -o requirements/fuzz.txt
wc -l requirements/*.txt
