"""What can be told of the migrations without a database."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import controlplane


def test_they_are_one_line_with_one_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(controlplane.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert len(scripts.get_heads()) == 1, "two migrations follow the same one: let the newer follow the other"
    assert all(isinstance(script.down_revision, str | None) for script in scripts.walk_revisions())
