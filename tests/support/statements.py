"""pytest plugin that writes down every statement of a version's code, for the next version's migrations to be held against.

At a release: `pytest -p tests.support.statements tests/component/controlplane`. It writes `tests/golden/statements/<revision>.sql`,
with the revision that this code migrates to. `test_previous_version.py` prepares the newest of an earlier revision on today's schema.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "golden" / "statements"
SEPARATOR = "\n;\n"
_OURS = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_NOT_OURS = re.compile(r"alembic_version|pg_catalog|information_schema|pg_roles|pg_sleep|current_schema|standard_conforming_strings")


def kept(statement: str) -> bool:
    """Whether a statement is one of the service: not of a migration, and with typed parameters or of the data plane's views."""
    return bool(_OURS.match(statement)) and not _NOT_OURS.search(statement) and "::" in statement


def head() -> str:
    """The revision that this code migrates to."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "controlplane" / "migrations"))
    return str(ScriptDirectory.from_config(config).get_current_head())


_seen: set[str] = set()


def pytest_configure() -> None:
    @event.listens_for(Engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if kept(statement.strip()):
            _seen.add(statement.strip())


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _seen:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{head()}.sql").write_text(SEPARATOR.join(sorted(_seen)) + "\n")
