"""SQL of limits: columns of the rows that they limit."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from controlplane.limits.subject import Scope, Subject
from controlplane.repository import Repository
from controlplane.schema import keys, orgs, users

_TABLES = {Scope.ORG: orgs, Scope.USER: users, Scope.KEY: keys}


class LimitsRepository(Repository):
    """The limits of one subject."""

    async def read(self, subject: Subject) -> Row[Any]:
        """Return the subject's row."""
        table = _TABLES[subject.scope]
        return (await self.uow.execute(self.visible(table).where(table.c.id == subject.subject_id))).one()

    async def lock(self, subject: Subject) -> Row[Any]:
        """Return the subject's row, and hold it until the commit: who sets its limits or budgets waits for each other."""
        table = _TABLES[subject.scope]
        statement = self.visible(table).where(table.c.id == subject.subject_id).with_for_update(key_share=True)
        return (await self.uow.execute(statement)).one()

    async def set(self, subject: Subject, values: Mapping[str, Any]) -> None:
        """Write limits and count their version up."""
        table = _TABLES[subject.scope]
        statement = self.update(table).where(table.c.id == subject.subject_id)
        await self.uow.execute(statement.values(**values, limits_version=table.c.limits_version + 1))
