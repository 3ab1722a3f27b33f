"""The statements of analytics. Each is made once for all questions of one form and run with the values of many.

SQLAlchemy takes longer over such a statement than PostgreSQL, and one that it has seen before costs it next to nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    CompoundSelect,
    DateTime,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects.postgresql import INTERVAL

from controlplane.repository import Reach, Scoped
from controlplane.schema import ledger
from controlplane.usage.dimensions import ERRORS, Dimension
from controlplane.usage.periods import QUARTER_HOUR, WIDTHS, Grain, Part, Period, cover
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS, Rollup
from controlplane.usage.tables import TABLES

Filters = Mapping[Dimension, object]
"""The one value of a dimension that counts."""

FIRST_TOP = 1 << len(Dimension)
"""The place of the first ranked dimension in a breakdown: above all bits of GROUPING()."""

_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
_COUNTS = ("requests", "errors", *_TOKENS)
_HISTOGRAMS = {"durations": ("duration_ms", DURATION_BOUNDS_MS), "first_tokens": ("time_to_first_token_ms", FIRST_TOKEN_BOUNDS_MS)}
"""Of a rollup, with what each counts of a row of the ledger."""
_ROWS = "usage"
_LADDERS = {
    Grain.WEEK: ((Grain.WEEK, Grain.DAY, Grain.QUARTER_HOUR), (Grain.DAY, Grain.QUARTER_HOUR)),
    Grain.DAY: ((Grain.DAY, Grain.QUARTER_HOUR),),
    Grain.HOUR: ((Grain.HOUR, Grain.QUARTER_HOUR), (Grain.QUARTER_HOUR,)),
    Grain.QUARTER_HOUR: ((Grain.QUARTER_HOUR,),),
}
"""Of each grain the rows that cover a period, and those that do where no rollup of this grain keeps apart what is asked for."""
_FORMS = 256
"""How many statements of each kind are kept; those that are not asked for go first."""


@dataclass(frozen=True, slots=True)
class Form:
    """What makes another statement of a question. Its values are none of it: they are parameters."""

    within: tuple[Dimension, ...]
    """Of what the reach is one: an org, a user."""
    filters: tuple[Dimension, ...]
    covers: tuple[tuple[Grain, ...], ...]
    """Of what the parts of the period are that touch, with and without the coarsest rows that may be read."""
    is_open: bool
    """Whether the period has no end."""
    rollups: tuple[Rollup, ...]


def form_of(reach: Reach, period: Period, coarsest: Grain, filters: Filters, rollups: tuple[Rollup, ...]) -> tuple[Form, dict[str, object]]:
    """Return the form of a question whose rows are at most as coarse as is said, and the values of its parameters."""
    whose = {name: value for name, value in ((Dimension.ORG, reach.org_id), (Dimension.USER, reach.user_id)) if value is not None}
    values: dict[str, object] = {f"only_{name}": value for name, value in filters.items()}
    values |= {f"reach_{name}": value for name, value in whose.items()}
    covers = []
    for number, grains in enumerate(_LADDERS[coarsest]):
        parts = cover(period, grains) or [Part(Grain.REQUEST, period)]
        moments = [part.period.start for part in parts] + ([] if period.end is None else [period.end])
        values |= {f"moment_{number}_{place}": moment for place, moment in enumerate(moments)}
        covers.append(tuple(part.grain for part in parts))
    return Form(tuple(whose), tuple(sorted(filters)), tuple(covers), period.end is None, rollups), values


@lru_cache(_FORMS)
def breakdown(form: Form, few: tuple[Dimension, ...], many: tuple[Dimension, ...]) -> CompoundSelect[Any]:
    """The total, and the first `most` groups of each dimension; those of `many` are ranked before they are summed up."""
    tops = (_top(place, form, dimension, "tokens") for place, dimension in enumerate(many, FIRST_TOP))
    return union_all(_grouped(form, few), *tops)


@lru_cache(_FORMS)
def top(form: Form, by: Dimension, order: str) -> Select[Any]:
    """The first `most` groups of a dimension."""
    return _top(0, form, by, order)


@lru_cache(_FORMS)
def series(form: Form, dimensions: tuple[Dimension, ...], width: timedelta | None) -> Select[Any]:
    """The first `most` intervals and groups, in order."""
    asked = _Rows(form)
    rows = asked.of(dimensions)
    keys: list[ColumnElement[Any]] = [rows.c[dimension.column] for dimension in dimensions]
    if width is not None:
        keys.insert(0, func.date_bin(literal(width, INTERVAL), rows.c.at, func.to_timestamp(0)).label("start"))
    if asked.are_sums(dimensions, width):
        return select(*keys, *(rows.c[name] for name in (*_COUNTS, *_HISTOGRAMS))).order_by(*keys).limit(_most())
    return select(*keys, *_sums(rows)).group_by(*keys).order_by(*keys).limit(_most())


def _grouped(form: Form, few: Sequence[Dimension]) -> Select[Any]:
    """The total, and the groups of dimensions with few values, of rows that are added up once for all of them."""
    rows = _Rows(form).of(few)
    names = [dimension.column for dimension in few]
    flat = select(*(rows.c[name] for name in names), *_sums(rows)).group_by(*(rows.c[name] for name in names)).subquery(_ROWS)
    columns = [flat.c[name] for name in names]
    place = func.grouping(*columns) if columns else literal(0)
    order = (func.sum(flat.c.input_tokens + flat.c.output_tokens).desc(), func.sum(flat.c.requests).desc())
    rank = func.row_number().over(partition_by=place, order_by=(*order, *columns)).label("rank")
    group = func.coalesce(*(as_type(one, Text) for one in columns), "").label("group")
    grouped = select(place.label("place"), rank, group, *_sums(flat)).group_by(func.grouping_sets(tuple_(), *columns)).subquery()
    return select(grouped).where(grouped.c.rank <= _most())


def _top(place: int, form: Form, by: Dimension, order: str) -> Select[Any]:
    """Few sums tell who is the first; histograms, which cost the most, are added up of those only."""
    rows = _Rows(form).of([by])
    group, requests, tokens = rows.c[by.column], func.sum(rows.c.requests), func.sum(rows.c.input_tokens + rows.c.output_tokens)
    first = tokens if order == "tokens" else func.sum(rows.c[order])
    rank = func.row_number().over(order_by=(first.desc(), requests.desc(), group)).label("rank")
    leading = select(group.label("group"), rank).group_by(group).order_by(rank).limit(_most()).subquery("leading")
    found = [literal(place).label("place"), leading.c.rank, as_type(leading.c.group, Text).label("group")]
    if by is Dimension.ORG:
        # Keys of rollups begin with it: rows of those few are looked up, and not all read once more.
        sums = select(*_sums(rows)).where(group == leading.c.group).lateral()
        return select(*found, *sums.c).join_from(leading, sums, true())
    return select(*found, *_sums(rows)).join_from(leading, rows, group == leading.c.group).group_by(leading.c.rank, leading.c.group)


class _Rows(Scoped):
    """What questions of a form sum up. The reach is one of parameters: a statement that is not given theirs does not run."""

    def __init__(self, form: Form) -> None:
        org, user = (bindparam(f"reach_{one}", type_=Uuid()) if one in form.within else None for one in (Dimension.ORG, Dimension.USER))
        super().__init__(Reach(cast("UUID | None", org), cast("UUID | None", user)))
        self._form = form

    def of(self, dimensions: Sequence[Dimension]) -> FromClause:
        """Rows that tell these dimensions apart, from all parts of the period."""
        number = self._cover(dimensions)
        parts = (self._part(number, place, grain, dimensions) for place, grain in enumerate(self._form.covers[number]))
        return union_all(*parts).subquery(_ROWS)

    def are_sums(self, dimensions: Sequence[Dimension], width: timedelta | None) -> bool:
        """Whether there is one row for each interval and group, so that nothing is left to add up."""
        grain, *others = self._form.covers[self._cover(dimensions)]
        if others or grain is Grain.REQUEST or WIDTHS[grain] != width:
            return False
        return set(self._rollups(grain, dimensions)[-1].dimensions) <= {*dimensions, *self._form.filters, *self._form.within}

    def _cover(self, dimensions: Sequence[Dimension]) -> int:
        covers = enumerate(self._form.covers)
        return next(number for number, grains in covers if all(self._tells(grain, dimensions) for grain in grains))

    def _tells(self, grain: Grain, dimensions: Sequence[Dimension]) -> bool:
        return grain is Grain.REQUEST or bool(self._rollups(grain, dimensions))

    def _rollups(self, grain: Grain, dimensions: Sequence[Dimension]) -> list[Rollup]:
        """Those that keep apart what is asked for, the longest first."""
        needed = {*dimensions, *self._form.filters, *self._form.within}
        return [rollup for rollup in self._form.rollups if rollup.tells(grain, needed)]

    def _part(self, number: int, place: int, grain: Grain, dimensions: Sequence[Dimension]) -> Select[Any]:
        if grain is Grain.REQUEST:
            return self._rolled_up(number, place, dimensions)
        table = TABLES[self._rollups(grain, dimensions)[-1]]
        errors = table.c.errors if "errors" in table.c else case((table.c.outcome.in_(ERRORS), table.c.requests), else_=0).label("errors")
        names = [dimension.column for dimension in dimensions]
        columns = (table.c[name] for name in (*names, "requests", *_TOKENS, *_HISTOGRAMS))
        query = self.visible(table, table.c.period_start.label("at"), *columns, errors)
        return self._within(number, place, query, table, table.c.period_start).where(table.c.requests != 0)  # 0: all were replaced

    def _rolled_up(self, number: int, place: int, dimensions: Sequence[Dimension]) -> Select[Any]:
        """Rows of the ledger as a rollup would hold them."""
        quarter_hour = func.date_bin(literal(QUARTER_HOUR, INTERVAL), ledger.c.admitted_at, func.to_timestamp(0)).label("at")
        keys = [quarter_hour, *(ledger.c[dimension.column] for dimension in dimensions)]
        sums = [func.sum(ledger.c[name]).label(name) for name in _TOKENS]
        errors = func.count().filter(ledger.c.outcome.in_(ERRORS)).label("errors")
        query = self.visible(ledger, *keys, func.count().label("requests"), *sums, *_COUNTED, errors)
        return self._within(number, place, query, ledger, ledger.c.admitted_at).group_by(*keys)

    def _within(self, number: int, place: int, query: Select[Any], table: Table, at: ColumnElement[Any]) -> Select[Any]:
        query = query.where(at >= _moment(number, place), *(table.c[one.column] == bindparam(f"only_{one}") for one in self._form.filters))
        ends = place < len(self._form.covers[number]) - 1 or not self._form.is_open
        return query.where(at < _moment(number, place + 1)) if ends else query


def _moment(number: int, place: int) -> BindParameter[Any]:
    return bindparam(f"moment_{number}_{place}", type_=DateTime(timezone=True))


def _most() -> BindParameter[int]:
    return bindparam("most", type_=Integer())


def _array(elements: Sequence[str], name: str) -> ColumnElement[Any]:
    """As text: SQLAlchemy would take longer over dozens of equal elements than PostgreSQL."""
    return literal_column(f"ARRAY[{', '.join(elements)}]::bigint[]", ARRAY(BigInteger)).label(name)


def _counted(column: str, bounds: Sequence[int]) -> list[str]:
    """The histogram of a column of the ledger."""
    ends = [f"{column} <= {bound}" for bound in bounds]
    starts = [f"{column} > {bound}" for bound in bounds]
    buckets = [ends[0], *(f"{start} AND {end}" for start, end in zip(starts, ends[1:], strict=False)), starts[-1]]
    return [f"count(*) FILTER (WHERE {bucket})" for bucket in buckets]


_ADDED = [
    _array([f"coalesce(sum({_ROWS}.{name}[{place}]), 0)" for place in range(1, len(bounds) + 2)], name) for name, (_, bounds) in _HISTOGRAMS.items()
]
_COUNTED = [_array(_counted(f"{ledger.name}.{column}", bounds), name) for name, (column, bounds) in _HISTOGRAMS.items()]


def _sums(rows: FromClause) -> list[ColumnElement[Any]]:
    """As whole numbers of 64 bits, as rollups hold them; PostgreSQL makes longer ones of sums, which cost the reader more than all else."""
    return [*(as_type(func.coalesce(func.sum(rows.c[name]), 0), BigInteger).label(name) for name in _COUNTS), *_ADDED]
