"""The one place of tenant scope: every repository is made for a reach and cannot see beyond it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from asyncpg import IntegrityConstraintViolationError
from sqlalchemy import Delete, Select, Table, Update, delete, select, update
from sqlalchemy.exc import IntegrityError

from controlplane.errors import Problem
from controlplane.schema import orgs, users

if TYPE_CHECKING:
    from controlplane.unit_of_work import UnitOfWork

_Statement = TypeVar("_Statement", Select[Any], Update, Delete)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an action reaches: rows of one org, of one user in it, or (System Admin, our own machinery) all."""

    org_id: UUID | None
    user_id: UUID | None = None

    def within(self, org_id: UUID) -> "Reach":
        """Narrow to one org; never widens."""
        if self.org_id not in {None, org_id}:
            raise ValueError("an org outside of the reach")
        return replace(self, org_id=org_id)


EVERYTHING = Reach(None)
"""For sign-in and for the service's own work; never for what a request asks for by name."""


class Scoped:
    """Makes statements within a reach. A table without an org raises when the reach is that of one org: closed by default."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach

    def visible(self, table: Table, *columns: Any) -> Select[Any]:
        """Select from a table, rows within the reach only."""
        return self._scoped(select(*(columns or (table,))), table)

    def update(self, table: Table) -> Update:
        """Update rows within the reach only."""
        return self._scoped(update(table), table)

    def delete(self, table: Table) -> Delete:
        """Delete rows within the reach only."""
        return self._scoped(delete(table), table)

    def _scoped(self, statement: _Statement, table: Table) -> _Statement:
        if self.reach.org_id is not None:
            statement = statement.where((table.c.id if table is orgs else table.c.org_id) == self.reach.org_id)
        if self.reach.user_id is not None:
            statement = statement.where((table.c.id if table is users else table.c.user_id) == self.reach.user_id)
        return statement


class Repository(Scoped):
    """Parent of a domain's SQL, in one transaction."""

    def __init__(self, uow: "UnitOfWork", reach: Reach) -> None:
        super().__init__(reach)
        self.uow = uow


@contextmanager
def refusing(constraint: str, problem: Problem) -> Iterator[None]:
    """Turn the violation of a named constraint into an answer: the database decides, not a look before the write."""
    try:
        yield
    except IntegrityError as error:
        cause = error.driver_exception
        if isinstance(cause, IntegrityConstraintViolationError) and cause.constraint_name == constraint:
            raise problem from None
        raise
