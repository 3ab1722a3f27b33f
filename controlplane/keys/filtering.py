"""A filter of keys as conditions of SQL."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from controlplane.keys.schemas import KeyFilter
from controlplane.schema import credentials, keys, users

_ESCAPE = "\\"


def conditions(wanted: KeyFilter) -> list[ColumnElement[bool]]:
    """Return what a key must fulfil."""
    given = [(make, getattr(wanted, name)) for name, make in _CONDITIONS.items()]
    return [make(value) for make, value in given if value is not None] + [_label(label) for label in wanted.label]


def _status(status: str) -> ColumnElement[bool]:
    """As `rules.status_at`."""
    if status in {"active", "expired"}:
        is_past = func.coalesce(keys.c.expires_at <= func.now(), False)
        return and_(keys.c.status == "active", is_past if status == "expired" else ~is_past)
    return keys.c.status == status


def _label(label: str) -> ColumnElement[bool]:
    name, has_value, value = label.partition("=")
    condition: ColumnElement[bool] = keys.c.labels.contains({name: value}) if has_value else keys.c.labels.has_key(name)
    return condition


def _hint(hint: str) -> ColumnElement[bool]:
    beginning = hint.removesuffix("…")
    shown = or_(*(text.startswith(beginning, autoescape=True) for text in (credentials.c.hint, credentials.c.credential_id)))
    return exists().where(credentials.c.key_id == keys.c.id, shown)


def _owner(user: str) -> ColumnElement[bool]:
    try:
        return keys.c.user_id == UUID(user)
    except ValueError:
        return exists().where(users.c.id == keys.c.user_id, func.lower(users.c.username) == user.lower())


def _model(model: str) -> ColumnElement[bool]:
    """As `ias.model_patterns.is_allowed`: the only wildcard of a pattern is `*`."""
    pattern = func.unnest(keys.c.allowed_models).column_valued("pattern")
    like: ColumnElement[str] = pattern
    for plain, written in ((_ESCAPE, _ESCAPE * 2), ("%", _ESCAPE + "%"), ("_", _ESCAPE + "_"), ("*", "%")):
        like = func.replace(like, plain, written)
    names = select(pattern).where(literal(model).like(like)).correlate(keys).exists()
    return or_(keys.c.allowed_models == literal([], ARRAY(Text)), names)


_CONDITIONS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "name": lambda part: keys.c.name.icontains(part, autoescape=True),
    "hint": _hint,
    "user": _owner,
    "status": _status,
    "model": _model,
    "last_used_before": lambda moment: func.coalesce(keys.c.last_used_at, keys.c.created_at) < moment,
    "created_before": lambda moment: keys.c.created_at < moment,
    "expires_before": lambda moment: keys.c.expires_at < moment,
}
"""By field of the filter."""
