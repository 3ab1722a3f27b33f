"""What the CLI remembers between calls: named contexts in `$XDG_CONFIG_HOME/ias/config.toml`, readable by their owner only.

A context is the address of one control plane and the token of one sign-in. The token goes to that address and no other.
"""

import json
import os
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from ias_admin.errors import CommandFailed

DEFAULT_CONTEXT = "default"
DEFAULT_URL = "http://127.0.0.1:8085"


@dataclass(slots=True)
class Context:
    """One control plane and one sign-in."""

    url: str
    username: str = ""
    token: str = field(default="", repr=False)
    expires_at: str = ""


@dataclass(slots=True)
class Config:
    """All contexts, and the one in use."""

    current: str = DEFAULT_CONTEXT
    contexts: dict[str, Context] = field(default_factory=dict)


def path() -> Path:
    """Where the file is."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "ias" / "config.toml"


def load() -> Config:
    """Read the file; an absent one is empty. Raises CommandFailed when it cannot be understood."""
    try:
        document = tomllib.loads(path().read_text())
        contexts = {name: Context(**values) for name, values in document.get("contexts", {}).items()}
        return Config(str(document.get("current", DEFAULT_CONTEXT)), contexts)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise CommandFailed(f"Cannot read {path()}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path()} is not a configuration of ias-admin: {error}. Remove it and sign in again.") from error


def save(config: Config) -> None:
    """Replace the file in one step, mode 0600 from its first byte on."""
    lines = [f"current = {_quoted(config.current)}"]
    for name, context in sorted(config.contexts.items()):
        lines += ["", f"[contexts.{_quoted(name)}]"]
        lines += [f"{key} = {_quoted(getattr(context, key))}" for key in ("url", "username", "token", "expires_at")]
    try:
        path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes files that only their owner can read.
        handle, name = tempfile.mkstemp(dir=path().parent)
        with os.fdopen(handle, "w") as file:
            file.write("\n".join(lines) + "\n")
        Path(name).replace(path())
    except OSError as error:
        raise CommandFailed(f"Cannot write {path()}: {error.strerror}.") from error


def _quoted(text: str) -> str:
    """A TOML basic string: as JSON's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
