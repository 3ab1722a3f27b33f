"""Whatever is done to sealed rows or seals, the chain shows it, and shows where."""

import math
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from controlplane.audit.chain import Entry, Seal, flaw, seal

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
ids = st.integers(0, 5).map(lambda number: UUID(int=number))
texts = st.sampled_from(["", "a", "b", '"', "\n", "a\nb", "[", "ä", "\\"])


def entry(seq: int, **fields: object) -> Entry:
    plain: dict[str, object] = {
        "id": UUID(int=seq),
        "timestamp": BEGIN + timedelta(seconds=seq),
        "org_id": None,
        "user_id": None,
        "action": "key.create",
        "payload": "{}",
        "outcome": "ok",
        "request_id": None,
        "client_address": None,
        "targets": [],
    }
    return Entry(seq=seq, **plain | fields)  # type: ignore[arg-type]


contents = st.fixed_dictionaries(
    {
        "org_id": st.none() | ids,
        "user_id": st.none() | ids,
        "action": texts,
        "payload": texts,
        "outcome": st.sampled_from(["ok", "denied", "failed"]),
        "request_id": st.none() | texts,
        "client_address": st.none() | texts,
        "targets": st.lists(texts, max_size=3),
    }
)
logs = st.lists(contents, min_size=1, max_size=12).map(lambda rows: [entry(2 * number + 1, **row) for number, row in enumerate(rows)])


def sealed(log: list[Entry], size: int) -> list[Seal]:
    chain: list[Seal] = []
    for start in range(0, len(log), size):
        chain.append(seal(chain[-1] if chain else None, log[start : start + size]))
    return chain


def first_flaw(chain: list[Seal], log: list[Entry]) -> int | None:
    """The number of the first broken seal, found as `verify` finds it."""
    previous = None
    for one in chain:
        after = previous.last_seq if previous else -math.inf
        rows = sorted((row for row in log if after < row.seq <= one.last_seq), key=lambda row: row.seq)
        if flaw(previous, one, rows) is not None:
            return one.number
        previous = one
    return None


def seal_of(chain: list[Seal], seq: int) -> int:
    return next(one.number for one in chain if seq <= one.last_seq)


@given(logs, st.integers(1, 5))
def test_what_was_not_touched_is_intact(log: list[Entry], size: int) -> None:
    assert first_flaw(sealed(log, size), log) is None


@given(logs, st.integers(1, 5), st.data())
def test_a_changed_row_is_found_in_its_batch(log: list[Entry], size: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    changed = entry(log[place].seq, **data.draw(contents.filter(lambda row: entry(log[place].seq, **row) != log[place])))
    chain = sealed(log, size)
    assert first_flaw(chain, [*log[:place], changed, *log[place + 1 :]]) == seal_of(chain, changed.seq)


@given(logs, st.integers(1, 5), st.data())
def test_a_removed_row_is_found_in_its_batch(log: list[Entry], size: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    chain = sealed(log, size)
    assert first_flaw(chain, log[:place] + log[place + 1 :]) == seal_of(chain, log[place].seq)


@given(logs, st.integers(1, 5), st.data())
def test_a_row_put_in_is_found_in_its_batch(log: list[Entry], size: int, data: st.DataObject) -> None:
    chain = sealed(log, size)
    between = entry(2 * data.draw(st.integers(0, len(log) - 1)))
    assert first_flaw(chain, [*log, between]) == seal_of(chain, between.seq)


@given(logs.filter(lambda log: len(log) > 1), st.integers(1, 5), st.data())
def test_two_rows_that_changed_places_are_found(log: list[Entry], size: int, data: st.DataObject) -> None:
    first, second = sorted(data.draw(st.lists(st.integers(0, len(log) - 1), min_size=2, max_size=2, unique=True)))
    swapped = list(log)
    swapped[first], swapped[second] = log[second]._replace(seq=log[first].seq), log[first]._replace(seq=log[second].seq)
    chain = sealed(log, size)
    assert first_flaw(chain, swapped) == seal_of(chain, log[first].seq)


@given(logs, st.integers(1, 3), st.data())
def test_a_removed_seal_is_found_unless_it_is_the_last(log: list[Entry], size: int, data: st.DataObject) -> None:
    chain = sealed(log, size)
    place = data.draw(st.integers(0, len(chain) - 1))
    cut = chain[:place] + chain[place + 1 :]
    assert first_flaw(cut, log) == (chain[place + 1].number if place + 1 < len(chain) else None)


@given(logs, st.integers(1, 3), st.data())
def test_rows_sealed_anew_after_a_change_break_the_chain_behind_them(log: list[Entry], size: int, data: st.DataObject) -> None:
    """Who changes a row and its own seal must change every seal behind it, and the last is noted down elsewhere."""
    chain = sealed(log, size)
    place = data.draw(st.integers(0, len(log) - 1))
    changed = [*log[:place], log[place]._replace(action="forged"), *log[place + 1 :]]
    number = seal_of(chain, log[place].seq)
    forged = [*chain[: number - 1], sealed(changed, size)[number - 1], *chain[number:]]
    assert first_flaw(forged, changed) == (number + 1 if number < len(chain) else None)
    assert forged[-1].mark != chain[-1].mark or number < len(chain)
