"""The wheel is what images install: it must work without the repository around it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

_RENDER = """
from pathlib import Path
from controlplane.gateway import bootstrap
params = bootstrap.BootstrapParams(xds_directory=Path("/xds"), extauth=("unix:/a",), extproc=("unix:/b",))
print(bootstrap.template_path())
assert "ext_authz" in bootstrap.render_bootstrap(params)
"""


def test_an_installed_wheel_finds_the_envoy_template(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=REPOSITORY, check=True, capture_output=True, timeout=60
    )
    [wheel] = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run([sys.executable, "-c", _RENDER], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert Path(found.stdout.strip()) == installed / "standalone" / "envoy" / "bootstrap.yaml"
