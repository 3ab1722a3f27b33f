-- What every script of an org begins with (ratelimit/scripts.py puts it in front). The rules in words: ratelimit/ports.py, docs/admission.md.
-- KEYS[1]  ias2:{org}:due. It sends the script to the org's slot, and all other keys are named from it (ratelimit/layout.py).
-- ARGV[1]  not_after, ms: a script that a frozen server runs later does nothing. Every reply begins with the server's time; {now} alone: too late.
-- Numbers are doubles. All stay integers below 2^53: capacity * period does (ratelimit/ports.py), and levels stop there.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {now} end

local org = string.sub(KEYS[1], 1, -4)
local DAY, MAX = 86400000, 9007199254740991
local HELD = 7 * DAY       -- what is held, and every record, lives this long after it was last touched: far beyond any deadline
local REPORTED = DAY       -- a late settlement still finds a reservation whose event is written
local AFTER_PERIOD = 45 * DAY
local OPEN, SWEPT, CLEARED, SETTLED = 0, 1, 2, 3
local CALENDARS = {'d', 'w', 'm'}
local IS_CALENDAR = {d = true, w = true, m = true}
local IS_TOKENS = {t = true, d = true, w = true, m = true}

local function text(n) return string.format('%.0f', n) end

local function floor_div(a, b)  -- exact; math.floor(a / b) rounds twice
  local rest = math.fmod(a, b)
  return (a - (rest < 0 and rest + b or rest)) / b
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
local function rule(limit)
  local kind, dry, refill, period, capacity, name = string.match(limit, '^(%a)(%d):(%d+):(%d+):(%d+):(.*)$')
  return {limit = limit, kind = kind, dry = dry == '1', L = tonumber(refill), P = tonumber(period), B = tonumber(capacity), name = name}
end

-- Budget counters: w is `own`. Nil if there is none.
local function counter_key(kind, scope, start) return org .. kind .. ':' .. text(start) .. ':' .. scope end

local function read_counter(b, key)
  local since, base, own, held = string.match(redis.call('GET', key) or '', '^(%d+):(%d*):(%d+):(%d+)$')
  if not since then return nil end
  b.key, b.since, b.base, b.w, b.h, b.P = key, tonumber(since), tonumber(base), tonumber(own), tonumber(held), 1
  return b
end

local function write_counter(b)
  local value = text(b.since) .. ':' .. (b.base and text(b.base) or '') .. ':' .. text(b.w) .. ':' .. text(b.h)
  if b.new then
    redis.call('SET', b.key, value, 'PX', text(b.finish + AFTER_PERIOD - now))
  else
    redis.call('SET', b.key, value, 'KEEPTTL')
  end
end

-- Begins a counter that is missing. Its base is unknown, unless the one of the period before shows that the store was not emptied since.
local function new_counter(b, kind, scope, at)
  local start = start_of(kind, at)
  b.key, b.since, b.w, b.h, b.P = counter_key(kind, scope, start), at, 0, 0, 1
  b.new, b.finish = true, end_of(kind, start)
  local before = read_counter({}, counter_key(kind, scope, start_of(kind, start - 1)))
  if before and before.since < start then b.base = 0 end
  return b
end

-- Buckets: w drains L each ms, h is held and does not drain; a clock that goes back neither drains nor rewinds.
local function bucket_key(b)
  if b.kind == 's' then return org .. 's:' .. b.name end
  return org .. 'b:' .. text(b.P) .. ':' .. b.name
end

local function read_bucket(b)
  b.key = bucket_key(b)
  local w, t, h = string.match(redis.call('GET', b.key) or '', '^(%d+):(%d+):(%d+)$')
  b.w, b.t, b.h = tonumber(w or 0), tonumber(t or now), tonumber(h or 0)
  if now > b.t then
    b.w = math.max(0, b.w - (now - b.t) * b.L)
    b.t = now
  end
  return b
end

local function to_full(b) return b.w > 0 and b.t - now + ceil_div(b.w, b.L) or 0 end

local function write_bucket(b)
  if b.w == 0 and b.h == 0 then
    redis.call('DEL', b.key)
  else
    local ttl = to_full(b) + 1000
    if b.h > 0 and ttl < HELD then ttl = HELD end
    redis.call('SET', b.key, text(b.w) .. ':' .. text(b.t) .. ':' .. text(b.h), 'PX', text(ttl))
  end
end

local function read(b, at)
  if IS_CALENDAR[b.kind] then return read_counter(b, counter_key(b.kind, b.name, start_of(b.kind, at))) end
  return read_bucket(b)
end

local function write(b)
  if IS_CALENDAR[b.kind] then write_counter(b) else write_bucket(b) end
end

-- What is free, in tokens; negative: debt.
local function free(b) return floor_div(b.B * b.P - (b.base or 0) - b.w - b.h * b.P, b.P) end

-- Reservations. u user, k key, c claimed, s state, n tokens held, p claim, i what is held: limit, amount, limit, amount, ...
local function admitted_at(id) return tonumber(string.sub(id, 1, 8) .. string.sub(id, 10, 13), 16) end

local function read_reservation(id)
  local packed = redis.call('GET', org .. 'r:' .. id)
  return packed and cmsgpack.unpack(packed)
end

local function write_reservation(id, r, ttl) redis.call('SET', org .. 'r:' .. id, cmsgpack.pack(r), 'PX', text(ttl)) end

local function put(zset, score, id)
  redis.call('ZADD', org .. zset, text(score), id)
  redis.call('PEXPIRE', org .. zset, text(HELD))
end

local function scopes(user, key) return {'org', user ~= '' and 'user:' .. user, key ~= '' and 'key:' .. key} end

-- Charges the counters of a request's org, user and key that carry it, whether it held there or not.
local function charge_budgets(user, key, at, tokens)
  for _, scope in ipairs(scopes(user, key)) do
    for _, kind in ipairs(CALENDARS) do
      local b = scope and read_counter({}, counter_key(kind, scope, start_of(kind, at)))
      if b and b.since <= at then
        b.w = math.min(MAX, math.max(0, b.w + tokens))
        write_counter(b)
      end
    end
  end
end

local function charged(state, held, total)
  if state == SWEPT then return held elseif state == SETTLED then return total end
  return 0
end

-- Brings a reservation from one state to another: what it holds and what it is charged, everywhere.
local function move(id, r, to, total)
  local at = admitted_at(id)
  local holds = (to == OPEN and 1 or 0) - (r.s == OPEN and 1 or 0)
  for i = 1, #r.i, 2 do
    local b, n = read(rule(r.i[i]), at), r.i[i + 1]
    if b then
      b.h = math.max(0, b.h + holds * n)
      if b.kind == 't' then b.w = math.min(MAX, math.max(0, b.w + (charged(to, n, total) - charged(r.s, n)) * b.P)) end
      write(b)
    end
  end
  local more = charged(to, r.n, total) - charged(r.s, r.n)
  if more ~= 0 then charge_budgets(r.u, r.k, at, more) end
  r.s = to
end

-- Holds anew from here on: the deadline moves, and nothing that the reservation needs expires before it.
local function renew(id, r, ttl)
  local was = r.s
  if was ~= OPEN then
    move(id, r, OPEN)
    redis.call('ZREM', org .. 'swept', id)
  end
  if was ~= OPEN or r.c == 0 then
    r.c = 1
    write_reservation(id, r, HELD)
  else
    redis.call('PEXPIRE', org .. 'r:' .. id, text(HELD))
  end
  local at = admitted_at(id)
  for i = 1, #r.i, 2 do
    local b = rule(r.i[i])
    local key = IS_CALENDAR[b.kind] and counter_key(b.kind, b.name, start_of(b.kind, at)) or bucket_key(b)
    redis.call('PEXPIRE', key, text(HELD), 'GT')
  end
  put('due', now + ttl, id)
end
