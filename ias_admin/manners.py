"""How the CLI behaves towards whoever runs it: what it says, whether it asks, whether it only shows what it would do."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manners:
    """Set once by the options of `ias-admin` itself."""

    quiet: bool = False
    """Say nothing but errors."""
    no_input: bool = False
    """Never ask, also not at a terminal."""
    dry_run: bool = False
    """Show the first request that would change something, and send none."""


_DEFAULT = Manners()
_current: ContextVar[Manners] = ContextVar("manners")


def current() -> Manners:
    """Return those in effect."""
    return _current.get(_DEFAULT)


def use(manners: Manners) -> None:
    """Put them in effect."""
    _current.set(manners)
