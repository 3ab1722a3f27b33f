"""What every test gets: none of the developer's own settings, hypothesis profiles, and no silent skips in CI."""

import os

# Tests start processes. With its fork support, gRPC starts threads in each forked child, which then may be killed by them before
# it has become the program. Read when grpc is imported: so before everything else.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

# Both are derandomized: the same code gives the same result everywhere. Long random searches are named targets of their own.
_COMMON = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=100, **_COMMON)
settings.register_profile("ci", max_examples=300, **_COMMON)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

# structlog's default shows every local variable of every frame of a traceback, which takes seconds.
structlog.configure(processors=[structlog.stdlib.add_log_level, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])


@pytest.fixture(autouse=True)
def _own_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's `IAS_*` never colours a result. `IAS_E2E_*` says what the end-to-end tests run against, and stays."""
    for name in list(os.environ):
        if name.startswith("IAS_") and not name.startswith("IAS_E2E_"):
            monkeypatch.delenv(name)
