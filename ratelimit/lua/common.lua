-- What every script of an org begins with (ratelimit/scripts.py puts it in front). The rules in words: ratelimit/ports.py, docs/admission.md.
-- KEYS[1]  ias2:{org}:due. It sends the script to the org's slot, and all other keys are named from it (ratelimit/layout.py).
-- ARGV[1]  not_after, ms: a script that a frozen server runs later does nothing. Every reply begins with the server's time; {now} alone: too late.
-- Numbers are doubles. All stay integers below 2^53: capacity * period does (ratelimit/ports.py), and levels stop there. %d writes them exactly,
-- in a third of the time of %.0f.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {now} end

local org = string.sub(KEYS[1], 1, -4)
local DAY, MAX = 86400000, 9007199254740991
local HELD = 7 * DAY       -- what is held, and every record, lives this long after it was last touched: far beyond any deadline
local REPORTED = DAY       -- a late settlement still finds a reservation whose event is written
local AFTER_PERIOD = 45 * DAY
local WRONG = 60000
local TURN = 300000        -- so long after the begin of a period its counters begin with nothing spent: not all of them ask the ledger at midnight
local OPEN, SWEPT, CLEARED, SETTLED = 0, 1, 2, 3
local IS_CALENDAR = {d = true, w = true, m = true}
local IS_TOKENS = {t = true, d = true, w = true, m = true}

local function floor_div(a, b)  -- exact up to MAX; math.floor(a / b) rounds twice
  local rest = math.fmod(a, b)
  local whole = (a - rest) / b
  return rest < 0 and whole - 1 or whole
end

local function ceil_div(a, b) return -floor_div(-a, b) end

-- Calendar periods in UTC. Months: https://howardhinnant.github.io/date_algorithms.html, civil_from_days.
local function start_of(kind, at)
  local day = floor_div(at, DAY)
  if kind == 'w' then
    day = day - math.fmod(day + 3, 7)
  elseif kind == 'm' then
    local e = math.fmod(day + 719468, 146097)
    local y = math.floor((e - math.floor(e / 1460) + math.floor(e / 36524) - math.floor(e / 146096)) / 365)
    local d = e - (365 * y + math.floor(y / 4) - math.floor(y / 100))
    day = day - (d - math.floor((153 * math.floor((5 * d + 2) / 153) + 2) / 5))
  end
  return day * DAY
end

local function end_of(kind, start)
  if kind == 'd' then return start + DAY elseif kind == 'w' then return start + 7 * DAY end
  return start_of('m', start + 31 * DAY)
end

-- A limit as the store keeps it: kind (r requests, t tokens, s streams, d w m budget), dry run, refill L, period P, capacity B, name.
-- Beside it stand its bucket or counter: level w (of a counter: own, and base, since) at time t, and h tokens held.
local function rule(limit)
  local kind, dry, refill, period, capacity, name = string.match(limit, '^(%a)(%d):(%d+):(%d+):(%d+):(.*)$')
  return {
    limit = limit, kind = kind, dry = dry == '1', L = tonumber(refill), P = tonumber(period), period = period, B = tonumber(capacity), name = name,
    key = false, w = 0, t = 0, h = 0, wanted = 0, free = 0, fits = false, calendar = IS_CALENDAR[kind], tokens = IS_TOKENS[kind],
  }
end

local function counter_key(kind, scope, start) return string.format('%s%s:%d:%s', org, kind, start, scope) end

local function key_of(b, at)
  if b.calendar then return counter_key(b.kind, b.name, start_of(b.kind, at)) end
  if b.kind == 's' then return org .. 's:' .. b.name end
  return org .. 'b:' .. b.period .. ':' .. b.name
end

local function load_counter(b, key, stored)
  if not stored then return nil end
  local since, base, own, held = string.match(stored, '^(%d+):(%d*):(%d+):(%d+)$')
  if not since then error('not a budget counter: ' .. key) end
  b.key, b.since, b.base, b.w, b.h = key, tonumber(since), tonumber(base), tonumber(own), tonumber(held)
  return b
end

-- The earliest `since` of a counter that begins now: behind every request of its period that was charged without it, as `charged` remembers.
-- An emptied store does not, and its clock may be behind: `known` is the latest time that the caller knows it has shown.
local function first_since(finish, known)
  local last = redis.call('ZRANGE', org .. 'charged', '(' .. finish, '-inf', 'BYSCORE', 'REV', 'LIMIT', '0', '1', 'WITHSCORES')
  return 1 + math.max(now, tonumber(last[2] or 0), known - now <= WRONG and known or 0)
end

-- Begins a counter that is missing. Its base is unknown, unless the period has just begun and the counter of the one before shows that the
-- store was not emptied since: later, requests may have been admitted in it while no budget was set.
local function new_counter(b, kind, scope, at, known)
  local start = start_of(kind, at)
  b.key, b.w, b.h, b.new, b.finish = counter_key(kind, scope, start), 0, 0, true, end_of(kind, start)
  b.since = math.max(at, first_since(b.finish, known))
  local key = counter_key(kind, scope, start_of(kind, start - 1))
  local before = load_counter({}, key, redis.call('GET', key))
  if before and before.since < start and now - start < TURN then b.base = 0 end
  return b
end

local function write_counter(b)
  local value = string.format('%d:%s:%d:%d', b.since, b.base and string.format('%d', b.base) or '', b.w, b.h)
  if b.new then
    redis.call('SET', b.key, value, 'PX', b.finish + AFTER_PERIOD - now)
  else
    redis.call('SET', b.key, value, 'KEEPTTL')
  end
end

-- Buckets: w drains L each ms, h is held and does not drain; a clock that goes back neither drains nor rewinds. By more than WRONG it was wrong
-- before, and the bucket begins anew: else nothing would drain until the clock is there again.
local function load_bucket(b, key, stored)
  b.key, b.t = key, now
  if not stored then return b end
  local w, t, h = string.match(stored, '^(%d+):(%d+):(%d+)$')
  if not w then error('not a bucket: ' .. key) end
  b.w, b.t, b.h = tonumber(w), tonumber(t), tonumber(h)
  if now > b.t then
    b.w = math.max(0, b.w - (now - b.t) * b.L)
    b.t = now
  elseif b.t - now > WRONG then
    b.w, b.t = 0, now
  end
  return b
end

-- When `wanted`, which does not fit, may fit at the earliest.
local function to_fit(b) return b.t - now + ceil_div(b.w + (b.h + b.wanted - b.B) * b.P, b.L) end

local function to_full(b) return b.w > 0 and b.t - now + ceil_div(b.w, b.L) or 0 end

local function write_bucket(b)
  if b.w == 0 and b.h == 0 then
    redis.call('DEL', b.key)
  else
    local ttl = to_full(b) + 1000
    if b.h > 0 and ttl < HELD then ttl = HELD end
    redis.call('SET', b.key, string.format('%d:%d:%d', b.w, b.t, b.h), 'PX', ttl)
  end
end

local function load(b, key, stored)
  if b.calendar then return load_counter(b, key, stored) end
  return load_bucket(b, key, stored)
end

local function write(b)
  if b.calendar then write_counter(b) else write_bucket(b) end
end

-- What is free, in tokens; negative: debt.
local function free(b) return floor_div(b.B * b.P - (b.base or 0) - b.w - b.h * b.P, b.P) end

-- Reservations. u user, k key, c claimed, s state, n tokens held in all, x how many of them were used and charged in buckets while it ran, p claim,
-- i what is held still: limit, amount, limit, amount, ...
local function write_reservation(id, r, ttl) redis.call('SET', org .. 'r:' .. id, cmsgpack.pack(r), 'PX', ttl) end

local function put(zset, ...)
  redis.call('ZADD', org .. zset, ...)
  redis.call('PEXPIRE', org .. zset, HELD)
end
