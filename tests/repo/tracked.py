"""The files of the repository, as git knows them."""

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.cache
def tracked(suffix: str = "") -> tuple[Path, ...]:
    """Tracked files and new ones that are not ignored, below ROOT."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = (Path(name) for name in listed.split("\0") if name)
    return tuple(sorted(path for path in set(paths) if path.name.endswith(suffix) and (ROOT / path).is_file()))
