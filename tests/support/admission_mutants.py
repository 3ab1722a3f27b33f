"""Seeded mistakes in the scripts, each of which the random histories must notice: `make mutants-admission`.

A mutant that survives says that the histories do not test what the line is for.
"""

import asyncio
import sys

from redis import Redis

from ratelimit.scripts import SCRIPTS
from tests.support import hit_mutants
from tests.support.admission_history import SEEDS, History
from tests.support.admission_valkey import PuppetValkey, scripts
from tests.support.mutants import Mutant, survivors

MUTANTS = [
    # time and buckets
    Mutant("if now > tonumber(ARGV[1]) then return {now} end", "if now > tonumber(ARGV[1]) - 1e6 then return {now} end"),
    Mutant("  if now > b.t then\n", "  if true then\n"),
    Mutant("elseif b.t - now > WRONG then", "elseif b.t > now then"),
    Mutant("b.w = math.max(0, b.w - (now - b.t) * b.L)\n    b.t = now", "b.w = math.max(0, b.w - (now - b.t) * b.L)"),
    Mutant("math.max(0, b.w - (now - b.t) * b.L)", "math.max(0, b.w - (now - b.t) * b.L - b.h)"),
    Mutant("if b.w == 0 and b.h == 0 then", "if b.w == 0 then"),
    Mutant("rest < 0 and whole - 1 or whole", "whole"),
    Mutant("b.t - now + ceil_div(b.w, b.L) or 0", "ceil_div(b.w, b.L) or 0"),
    Mutant("- b.w - b.h * b.P, b.P) end", "- b.w, b.P) end"),
    Mutant("(b.base or 0) - b.w", "0 - b.w"),
    # periods
    Mutant("math.fmod(day + 3, 7)", "math.fmod(day + 4, 7)"),
    Mutant("math.floor(y / 4)", "math.floor(y / 5)"),
    Mutant("return start_of('m', start + 31 * DAY)", "return start_of('m', start + 30 * DAY)"),
    Mutant("start_of(kind, start - 1)", "start_of(kind, start)"),
    Mutant("if before and before.since < start and now - start < TURN then b.base = 0 end", ""),
    Mutant("if before and before.since < start and now - start < TURN then b.base = 0 end", "b.base = 0"),
    Mutant("before.since < start and now - start < TURN", "before.since < start"),
    Mutant("b.base = nil  -- of this", "-- of this"),
    # what a counter carries
    Mutant("latest = math.max(latest, b.since)", "latest = math.max(latest, b.new and b.since or 0)"),
    Mutant("math.max(at, first_since(b.finish, known))", "first_since(b.finish, known)"),
    Mutant("math.max(at, first_since(b.finish, known))", "math.max(at, now + 1)"),
    Mutant("1 + math.max(now, tonumber(last[2] or 0)", "math.max(now, tonumber(last[2] or 0)"),
    Mutant("tonumber(last[2] or 0), known", "0, known"),
    Mutant("known - now <= WRONG and known or 0", "0"),
    Mutant("known - now <= WRONG and known or 0", "known"),
    Mutant("'(' .. finish, '-inf'", "'+inf', '-inf'"),
    Mutant("math.max(at, last_charged[day] or 0)", "at"),
    Mutant("local day = floor_div(at, DAY)\n  last", "local day = 0\n  last"),
    Mutant("'GT', at, day", "at, day"),
    Mutant("  flush_charged()\n", ""),
    Mutant("if b and b.since <= at then", "if b then"),
    Mutant("if b and b.since <= at then", "if b and b.since < at then"),
    Mutant("redis.call('SET', b.key, value, 'KEEPTTL')", "redis.call('SET', b.key, value, 'PX', '1000')"),
    # admission
    Mutant("not b.base and not b.dry then", "not b.base then"),
    Mutant("not b.base and not b.dry then", "false then"),
    Mutant("if b.new then write_counter(b) end", ""),
    Mutant("b.fits = b.wanted <= b.free", "b.fits = b.wanted < b.free"),
    Mutant("b.kind == 'r' and cost or b.kind == 's' and 1 or least", "b.kind == 'r' and 1 or b.kind == 's' and 1 or least"),
    Mutant("b.kind == 'r' and cost or b.kind == 's' and 1 or least", "b.kind == 'r' and cost or b.kind == 's' and 1 or full"),
    Mutant("  if not b.dry then\n    admitted", "  if true then\n    admitted"),
    Mutant("math.min(tightest or b.free, b.free)", "b.free"),
    Mutant("tightest < full_from then", "tightest < full then"),
    Mutant("reduced > 0 and reduced <= tightest", "reduced > 0"),
    Mutant("math.min(full, tightest)", "tightest"),
    Mutant("    if b.fits then\n", "    if true then\n"),
    Mutant("b.w = b.w + cost * b.P", "b.w = b.w + cost"),
    Mutant("b.dry and math.min(tokens, b.free) or tokens", "tokens"),
    Mutant("if b.wanted > b.B then retry = -1", "if false then retry = -1"),
    Mutant("elseif b.calendar then retry = to_end", "elseif b.calendar then retry = 1"),
    Mutant("ceil_div(b.w + (b.h + b.wanted - b.B) * b.P, b.L)", "ceil_div(b.w + (b.wanted - b.B) * b.P, b.L)"),
    Mutant("put('due', now + ttl, id)\nend\n\nlocal learned", "end\n\nlocal learned"),
    # the life of a reservation
    Mutant("(to == OPEN and 1 or 0) - (r.s == OPEN and 1 or 0)", "(to == OPEN and 1 or 0) - 1"),
    Mutant("n, total) - charged_in_bucket(r.s, r.x or 0, n)", "n, total)"),
    Mutant("math.max(used, used + charged", "math.max(0, used + charged"),
    Mutant("charged(state, held, (total or 0) - used)", "charged(state, held, total or 0)"),
    Mutant("charged(to, r.n, total) - charged(r.s, r.n)", "charged(to, r.n, total)"),
    Mutant("if state == SWEPT then return held", "if state == SWEPT then return 0"),
    Mutant("if b.kind == 't' then b.w", "if b.kind ~= 'd' then b.w"),
    Mutant("  r.s = to\n", ""),
    Mutant("    moved.swept[id] = false\n  end\n  if was", "  end\n  if was"),
    Mutant("    r.c = 1\n", ""),
    Mutant("if r.c == 0 then move(id, r, CLEARED) end", "move(id, r, CLEARED)"),
    Mutant("if r.c == 0 then move(id, r, CLEARED) end", ""),
    Mutant("if not r or r.s ~= OPEN then return {now, 0} end", "if not r then return {now, 0} end"),
    Mutant("if b.more > free(b) and not b.dry then return {now, 2} end", ""),
    Mutant("b.dry and math.max(0, math.min(more, free(b))) or more", "more"),
    Mutant("r.i[i + 1] = r.i[i + 1] + b.more", "r.i[i + 1] = r.i[i + 1]"),
    Mutant("r.n = r.n + more", ""),
    Mutant("  if r.s ~= OPEN then\n    renew(id, r, ttl)\n    flush()\n  end\n  return {now, 1}\n", ""),
    Mutant("if b and not found and end_of(kind, start_of(kind, at)) > now then", "if b and not found then"),
    Mutant("if b then b.h = math.max(0, b.h + n) end", ""),
    Mutant("b.free = b.free - n", ""),
    Mutant("      b.h = b.h + tokens\n", ""),
    # what is used while it runs
    Mutant("  if more <= 0 then return end\n", ""),
    Mutant("used - (r.x or 0)\n", "used\n"),
    Mutant("if string.sub(r.i[i], 1, 1) == 't' then", "if IS_TOKENS[string.sub(r.i[i], 1, 1)] then"),
    Mutant("math.min(more, r.i[i + 1])\n", "more\n"),
    Mutant("b.w + more * b.P), math.max(0", "b.w), math.max(0"),
    Mutant("math.max(0, b.h - released), r", "b.h, r"),
    Mutant(
        "r.i[i + 1] = math.min(MAX, b.w + more * b.P), math.max(0, b.h - released), r.i[i + 1] - released",
        "r.i[i + 1] = math.min(MAX, b.w + more * b.P), math.max(0, b.h - released), r.i[i + 1]",
    ),
    Mutant("      r.x, kept[id] = used, HELD\n", "      kept[id] = HELD\n"),
    Mutant("      r.x, kept[id] = used, HELD\n", "      r.x = used\n"),
    # settlement, sweep, seed
    Mutant("moved[r.s == OPEN and 'due' or 'swept'][id] = false", "moved.swept[id] = false"),
    Mutant("    forget(id)\n", ""),
    Mutant("elseif is_ours or again then", "elseif is_ours then"),
    Mutant("elseif is_ours or again then", "elseif again then"),
    Mutant("if mark then marked[mark] = true end", "if mark and not r then marked[mark] = true end"),
    Mutant("    change_budgets(user, key, admitted_at(id), tokens, {})\n", ""),
    Mutant("'-inf', now, 'BYSCORE'", "'-inf', now - 1, 'BYSCORE'"),
    Mutant("    move(id, r, SWEPT)\n", ""),
    Mutant("kept[id], moved.swept[id] = HELD, now", "kept[id] = HELD"),
    # many in one call
    Mutant("(b.w > 0 or b.h > 0) and last.t or now", "last.t"),
    Mutant("marked[mark] or redis.call", "redis.call"),
    Mutant("records[id], kept[id] = false, nil", "kept[id] = nil"),
    Mutant("  if #forgotten > 0 then redis.call('DEL', unpack(forgotten)) end\n", ""),
    Mutant("  for _, b in pairs(counters) do\n    if b then write_counter(b) end\n  end\n", ""),
    Mutant("  for _, b in pairs(buckets) do write_bucket(b) end\n", ""),
    Mutant("b.since ~= tonumber(ARGV[5])", "false"),
    Mutant("b.base ~= tonumber(ARGV[7])", "false"),
    Mutant("b.base = tonumber(ARGV[6])", "b.base = (b.base or 0) + tonumber(ARGV[6])"),
]


async def histories_until_noticed(url: str, client: Redis, mutant: Mutant) -> int | None:
    """How many histories it takes; None if none notices."""
    async with PuppetValkey(url, client, scripts(mutant.apply)) as puppet:
        for count, seed in enumerate(SEEDS, 1):
            client.flushall()
            history = History(seed, puppet.store, puppet.set_clock)
            try:
                await asyncio.wait_for(history.play(puppet.look_everywhere, puppet.lose, puppet.nothing_expires_too_early), 60)
                puppet.nothing_is_held()
            except Exception:  # whatever the suite would fail with
                return count
        return None


def where(mutant: Mutant) -> list[str]:
    """The scripts that it changes."""
    return [name for name, script in SCRIPTS.items() if mutant.was in script.source]


if __name__ == "__main__":
    # Those of the Rate Limit Service first: they take seconds.
    sys.exit(bool(survivors(hit_mutants.MUTANTS, hit_mutants.histories_until_noticed) + survivors(MUTANTS, histories_until_noticed)))
