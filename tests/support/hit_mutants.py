"""Seeded mistakes in the script of the Rate Limit Service, which its random histories must notice: part of `make mutants-admission`."""

import asyncio

from redis import Redis

from ratelimit.hits_valkey import ValkeyHitStore
from ratelimit.resp import Address
from ratelimit.script_runner import ScriptRunner
from ratelimit.scripts import HIT_SCRIPTS
from tests.support.admission_valkey import CLOCK, PuppetClock, scripts
from tests.support.hits import HISTORIES, debt_ends_where_numbers_end, play
from tests.support.mutants import Mutant

MUTANTS = [
    # what is taken, and of which bucket
    Mutant("math.min(MAX, math.max(0, b.w + hits * b.P))", "math.min(MAX, b.w + hits * b.P)"),
    Mutant("math.min(MAX, math.max(0, b.w + hits * b.P))", "math.max(0, b.w + hits)"),
    Mutant("math.min(MAX, math.max(0, b.w + hits * b.P))", "math.max(0, b.w + hits * b.P)"),
    Mutant("  changed[b.key] = true\n", ""),
    Mutant("for key in pairs(changed) do write_bucket(buckets[key]) end\n", ""),
    Mutant("      add(b, hits)\n    end\n    if hits == 0", "    end\n    if hits == 0"),
    Mutant("add(b, hits)\n    end\n    if hits == 0", "add(b, 1)\n    end\n    if hits == 0"),
    Mutant("elseif not owed[i] and hits > 0 then", "elseif hits > 0 then"),
    Mutant("b.wanted = math.max(1, hits)", "b.wanted = hits"),
    Mutant("b.wanted > free(b) then", "b.wanted >= free(b) then"),
    Mutant("b.wanted > free(b) then", "b.wanted > math.max(0, free(b)) + 1 then"),
    # all or nothing, and what stays whatever is refused
    Mutant("refused or not b.dry", "refused"),
    Mutant("refused or not b.dry", "true"),
    Mutant("refused or not b.dry", "not b.dry"),
    Mutant("      taken[#taken + 1] = i\n", ""),
    Mutant("add(bucket(ARGV[i]), -tonumber(ARGV[i + 1]))", "add(bucket(ARGV[i]), -1)"),
    Mutant("  if refused then\n    for _", "  if true then\n    for _"),
    Mutant("    if owed[i] then add(b, hits) end\n", ""),
    Mutant("if not owed[i] and b.wanted > free(b)", "if b.wanted > free(b)"),
    # questions, and what they are owed
    Mutant("return hits < 0 or hits > 0 and own", "return hits > 0 and own"),
    Mutant("return hits < 0 or hits > 0 and own and", "return hits < 0 or hits > 0 and"),
    Mutant("and own and redis.call('EXISTS', asked(b)) == 1", "and own"),
    Mutant("redis.call('EXISTS', asked(b)) == 1", "redis.call('EXISTS', asked(b)) == 0"),
    Mutant("string.sub(ARGV[i + 1], 1, 1) == '+'", "true"),
    Mutant("    if hits == 0 then redis.call('SET', asked(b), '', 'PX', ASKED) end\n", ""),
    Mutant("if hits == 0 then redis.call('SET'", "if true then redis.call('SET'"),
    Mutant("org .. 'a:' .. b.period .. ':' .. b.name", "org .. 'a:' .. b.period"),
    # what is told
    Mutant("b.wanted > b.B and -1 or to_fit(b)", "to_fit(b)"),
    Mutant("b.wanted > b.B and -1 or to_fit(b)", "b.wanted >= b.B and -1 or to_fit(b)"),
    Mutant("owed[i], retry[i] = is_owed", "owed[i], retry[i - 2] = is_owed"),
    Mutant("= free(b), to_full(b), retry[i]", "= free(b), 0, retry[i]"),
    Mutant("= free(b), to_full(b), retry[i]", "= math.max(0, free(b)), to_full(b), retry[i]"),
    # many in one call
    Mutant("local last = i + 2 * ARGV[i]\n", "local last = #ARGV\n"),
    Mutant("(b.w > 0 or b.h > 0) and last.t or now", "last.t"),
    Mutant("b.key, b.w, b.h = key, last.w, last.h", "load_bucket(b, key, redis.call('GET', key))"),
]


async def histories_until_noticed(url: str, client: Redis, mutant: Mutant) -> int | None:
    """How many histories it takes; None if none notices."""
    clock = PuppetClock()
    store = ValkeyHitStore(ScriptRunner(Address.parse(url), scripts(mutant.apply, HIT_SCRIPTS), clock, 5_000))

    def set_clock(now_ms: int) -> None:
        clock.now_ms = now_ms
        client.set(CLOCK, now_ms)

    try:
        for count, seed in enumerate(HISTORIES, 1):
            client.flushall()
            try:
                await asyncio.wait_for(play(seed, store.take, set_clock), 60)
            except Exception:  # whatever the suite would fail with
                return count
        client.flushall()
        set_clock(clock.now_ms)
        try:
            await debt_ends_where_numbers_end(store.take)
        except AssertionError:
            return len(HISTORIES)
        return None
    finally:
        await store.aclose()


def where(mutant: Mutant) -> list[str]:
    """The scripts that it changes."""
    return [name for name, script in HIT_SCRIPTS.items() if mutant.was in script.source]
