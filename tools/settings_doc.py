"""Render docs/settings.md from the settings classes of all services: `make docs`."""

import importlib
import pkgutil
import sys
from pathlib import Path

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from ias.settings import PREFIX, Settings, default_of, described
from ias.wire.limits import Limits

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
SERVICES = ("extauth", "extproc", "ratelimit", "controlplane")
_HEAD = """# Settings

Every service reads its settings from environment variables once, when it starts. `--check-config` prints what is in effect, secrets masked,
and `--help` what follows here. Any variable `X` may come from a file instead: `X_FILE=/path`; for secrets this is the better way.
Maps and lists are JSON. This page is made by `make docs` from the classes in the code.
"""
_LIMITS_HEAD = """## Limits of the transport

Names in the JSON object `IAS_TRANSPORT_LIMITS`, for each connection unless it says otherwise.
extauth sets `max_message_bytes` by its own `IAS_MAX_BODY_BYTES`.
"""


def settings_classes() -> list[type[Settings]]:
    """Find the settings classes of the services, those that others only build on left out."""
    found: list[type[Settings]] = []
    for service in SERVICES:
        package = importlib.import_module(service)
        for module in pkgutil.walk_packages(package.__path__, f"{service}."):
            if module.name.endswith(".settings"):
                classes = vars(importlib.import_module(module.name)).values()
                found += [cls for cls in classes if isinstance(cls, type) and issubclass(cls, Settings) and cls.__module__ == module.name]
    return [cls for cls in found if not any(cls in other.__bases__ for other in found)]


def render() -> str:
    """Return the page."""
    sections = [_HEAD]
    for cls in settings_classes():
        rows = [_row(name, field) for name, field in cls.model_fields.items()]
        head = f"## {cls.__module__.rpartition('.')[0]}: {cls.__name__}\n\n{' '.join((cls.__doc__ or '').split())}\n"
        sections.append("\n".join([head, "| variable | default | meaning |", "|---|---|---|", *rows, ""]))
    return "\n".join([*sections, _limits()])


def _limits() -> str:
    """The fields of `IAS_TRANSPORT_LIMITS`."""
    fields = TypeAdapter(Limits).json_schema()["properties"]
    rows = [f"| `{name}` | `{field['default']}` | {' '.join(field['description'].split())} |" for name, field in fields.items()]
    return "\n".join([_LIMITS_HEAD, "| limit | default | meaning |", "|---|---|---|", *rows, ""])


def _row(name: str, field: FieldInfo) -> str:
    meaning = described(field).replace("|", "\\|")
    return f"| `{PREFIX}{name.upper()}` | {_default(field)} | {meaning}{' Secret.' if 'Secret' in str(field.annotation) else ''} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if isinstance(field.get_default(call_default_factory=True), Limits):
        return "below"
    return default if (default := default_of(field)) == "none" else f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(render())
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
