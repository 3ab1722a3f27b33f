"""`ias gateway diff` and `apply` on a real API server."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from tests.kubernetes.test_gateway import NOBODY
from tests.support.kubernetes import KubernetesServer

STATE = {"backends": [{"backend_id": "a", "base_url": "http://10.0.0.1:8000"}], "routes": [{"model": "m", "targets": [{"backend_id": "a"}]}]}


def test_what_differs_is_shown_and_then_applied(kubernetes: KubernetesServer, namespace: str, tmp_path: Path) -> None:
    parts = {name: {"service": name, "port": 9001} for name in ("extauth", "extproc")}
    names = {"namespace": namespace, "gateway": namespace, "gatewayClass": namespace, "controller": NOBODY}
    listeners = [{"name": "https", "port": 443, "certificate": "tls"}]
    (profile := tmp_path / "profile.yaml").write_text(yaml.safe_dump({**parts, **names, "listeners": listeners}))
    (state := tmp_path / "state.json").write_text(json.dumps(STATE))

    def run(command: str, *more: str) -> tuple[int, str]:
        chosen = ("--profile", str(profile), "--state", str(state), "--kubeconfig", str(kubernetes.kubeconfig()))
        command_line = [sys.executable, "-m", "standalone", "gateway", command, *chosen, *more]
        result = subprocess.run(command_line, capture_output=True, text=True, check=False)
        assert result.stderr == "", "there is nothing to talk of"
        return result.returncode, result.stdout

    code, printed = run("diff")
    assert code == 1
    assert f"+++ wanted/Gateway {namespace}/{namespace}" in printed
    code, printed = run("apply", "--confirm-seconds", "0")
    assert code == 0
    assert printed == "the cluster is as it should be\n"
    assert run("diff") == (0, "")
    code, printed = run("apply", "--confirm-seconds", "0.1")
    assert code == 0, "nothing to write, nobody to wait for"
    state.write_text(json.dumps({"backends": [], "routes": []}))
    code, printed = run("diff")
    assert code == 1
    assert f"- HTTPRoute {namespace}/" in printed
