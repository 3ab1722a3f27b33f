"""Progress of long work, on stderr and only for a person who watches: pipes and CI see nothing of it."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

from ias_admin import manners

_T = TypeVar("_T")


def track(items: Iterable[_T], what: str, total: int | None = None) -> Iterator[_T]:
    """Pass items on, and show how many went by; without a total that something moves."""
    if not sys.stderr.isatty() or manners.current().quiet:
        yield from items
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)
