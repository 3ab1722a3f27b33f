"""Settings of every service: environment variables `IAS_*`, documented under each field, frozen once read.

A secret may come from a file instead of the environment: `IAS_X_FILE=/path` sets `IAS_X`. `--check-config` prints what
is in effect with secrets masked and starts nothing.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import SecretStr, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

PREFIX = "IAS_"


class ConfigError(Exception):
    """The environment does not describe a service that can start; the message is a plain sentence for each field."""


class _FileSource(EnvSettingsSource):
    """Reads `IAS_<NAME>_FILE`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{PREFIX}{field_name.upper()}_FILE"
        if not (path := os.environ.get(variable)):
            return None, field_name, False
        try:
            text = Path(path).read_text().strip()
        except OSError as error:
            raise ConfigError(f"{variable}: cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ConfigError(f"{variable}: {path} is not text") from None
        return text, field_name, self.field_is_complex(field)


class Settings(BaseSettings):
    """The parent of a service's settings class. Field `x` is the variable `IAS_X`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged: debug, info, warning or error."""

    metrics_address: Annotated[str, StringConstraints(pattern=r"^(.+:[0-9]{1,5})?$")] = ""
    """`host:port` of the Prometheus endpoint `/metrics`; empty: none. Port 0 takes any free one and logs it."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _FileSource(settings_cls)

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raise ConfigError that names every variable in error."""
        try:
            return cls()
        except ValidationError as error:
            raise ConfigError("\n".join(cls._sentences(error))) from None
        except SettingsError as error:
            if isinstance(error.__cause__, ConfigError):
                raise error.__cause__ from None
            # The text of pydantic-settings names the field; its cause holds the value, which may be a secret.
            field = re.search(r'field "(\w+)"', str(error))
            raise ConfigError(f"{PREFIX}{field[1].upper() if field else '*'}: the value is not valid JSON") from None

    @classmethod
    def _sentences(cls, error: ValidationError) -> list[str]:
        """One line for each variable in error: what is wrong with it, and what it is."""
        wrong: dict[str, dict[str, None]] = {}
        for one in error.errors(include_input=False, include_url=False):  # of a union there is one for each of its types
            name = str(one["loc"][0]) if one["loc"] else ""
            wrong.setdefault(name, {})["not set" if one["type"] == "missing" else one["msg"].removeprefix("Value error, ")] = None
        meanings = {name: f" {described(field)}" for name, field in cls.model_fields.items()}
        return [f"{PREFIX}{name.upper() or '*'}: {'; '.join(reasons)}.{meanings.get(name, '')}" for name, reasons in wrong.items()]

    def describe(self) -> str:
        """One `NAME=value` line for each setting, secrets masked."""
        return "\n".join(f"{PREFIX}{name.upper()}={_masked(value)}" for name, value in self)


def _masked(value: object) -> str:
    if isinstance(value, dict) and any(isinstance(v, SecretStr) for v in value.values()):
        return ",".join(f"{key}:***" for key in value)
    return "***" if isinstance(value, SecretStr) and value.get_secret_value() else str(value)


_S = TypeVar("_S", bound=Settings)


def load_or_exit(cls: type[_S], program: str, summary: str, arguments: Sequence[str] | None = None) -> _S:
    """Read a service's settings for its `__main__`: handles `--help` and `--check-config`, and says plainly what is wrong (exit 2).

    `arguments` are those of a sub-command; without them, those of the process.
    """
    parser = argparse.ArgumentParser(prog=program, description=summary, epilog=_variables(cls), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-config", action="store_true", help="print the effective settings, secrets masked, and exit")
    options = parser.parse_args(arguments)
    try:
        settings = cls.load()
    except ConfigError as error:
        lines = str(error).splitlines()
        print(f"{program}: {error}" if len(lines) == 1 else "\n  ".join([f"{program}: wrong settings", *lines]), file=sys.stderr)
        raise SystemExit(2) from None
    if options.check_config:
        print(settings.describe())
        raise SystemExit(0)
    return settings


def _variables(cls: type[Settings]) -> str:
    lines = ["environment (a secret X may come from a file: X_FILE=/path):"]
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else f"default: {default_of(field)}"
        lines.append(f"  {PREFIX}{name.upper()}\n      {described(field)} ({default})")
    return "\n".join(lines)


def described(field: FieldInfo) -> str:
    """What a setting is, in one line."""
    return " ".join((field.description or "").split())


def default_of(field: FieldInfo) -> str:
    """What holds without the variable, as people read it; `none`: nothing, or one of each part. A default is no secret, and none is worth showing."""
    default = field.get_default(call_default_factory=True)
    return "none" if isinstance(default, SecretStr) or is_dataclass(default) or default in ("", None, (), {}, []) else str(default)
